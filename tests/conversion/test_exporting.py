"""Export of new models of ours to models of transformers that compute the same function."""

import logging

import pytest
import torch

from hf_vanilla_transformer import from_transformers, to_transformers
from hf_vanilla_transformer.conversion.residual_order import sines_first
from hf_vanilla_transformer.models.layers_vanilla import SinusoidalPositions

from ..tiny_models import VOCABULARY, tiny_model

LONG = torch.randint(5, VOCABULARY, (3, 30), generator=torch.Generator().manual_seed(0))
MASK = torch.ones_like(LONG)
MASK[1, 20:] = 0


def perturbed(stack, **fields):
    special = {"bos_token_id": 0, "eos_token_id": 2} if stack == "decoder" else {}
    return tiny_model(stack, noise=0.2, **{"hidden_size": 32, "pad_token_id": 1} | special | fields)


def difference(first, second):
    arguments = {"input_ids": LONG, "attention_mask": MASK}
    kept = MASK.bool()
    if first.config.is_encoder_decoder:
        arguments["decoder_input_ids"] = LONG[:, :12]
        kept = torch.ones(3, 12, dtype=torch.bool)
    with torch.no_grad():
        return float((first(**arguments).logits - second(**arguments).logits)[kept].abs().max())


@pytest.mark.parametrize(
    ("stack", "fields", "class_name"),
    [
        ("encoder", {"positions_from_mask": False}, "BertForMaskedLM"),
        ("encoder", {"positions_from_mask": True}, "RobertaForMaskedLM"),
        ("encoder", {"positions_from_mask": False, "type_vocab_size": 0}, "BertForMaskedLM"),
        ("encoder", {"positions_from_mask": False, "lm_head_bias": False}, "BertForMaskedLM"),
        ("encoder", {"position_embedding_type": "sinusoidal"}, "RobertaForMaskedLM"),
        ("encoder", {"hidden_act": "relu"}, "BertForMaskedLM"),
        ("encoder", {"scale_embedding": True}, "RobertaForMaskedLM"),
        ("decoder", {"positions_from_mask": False}, "GPT2LMHeadModel"),
        ("decoder", {"positions_from_mask": True}, "OPTForCausalLM"),
        ("decoder", {"layer_norm_eps": 1e-6}, "GPT2LMHeadModel"),
        (
            "decoder",
            {"norm_first": False, "intermediate_size": 128, "positions_from_mask": False},
            "OpenAIGPTLMHeadModel",
        ),
        ("decoder", {"position_embedding_type": "sinusoidal"}, "OPTForCausalLM"),
        (
            "decoder",
            {"position_embedding_type": "sinusoidal_t2t", "position_offset": 3, "scale_embedding": True},
            "OPTForCausalLM",
        ),
        ("decoder", {"tie_word_embeddings": False}, "OPTForCausalLM"),
        ("seq2seq", {}, "MarianMTModel"),
        ("seq2seq", {"lm_head_bias": True, "hidden_act": "gelu"}, "MarianMTModel"),
        ("seq2seq", {"position_embedding_type": "sinusoidal_concat"}, "MarianMTModel"),
        ("seq2seq", {"share_encoder_decoder_embeddings": False}, "MarianMTModel"),
        ("seq2seq", {"tie_word_embeddings": False}, "MarianMTModel"),
        ("seq2seq", {"norm_first": True}, "PegasusForConditionalGeneration"),
        ("seq2seq", {"layernorm_embedding": True}, "BartForConditionalGeneration"),
        (
            "seq2seq",
            {"layernorm_embedding": True, "position_embedding_type": "learned", "norm_first": True},
            "MBartForConditionalGeneration",
        ),
        (
            "seq2seq",
            {"norm_first": True, "position_embedding_type": "sinusoidal_t2t", "position_offset": 2},
            "M2M100ForConditionalGeneration",
        ),
    ],
)
def test_export_chooses_a_class_that_computes_the_same_function(stack, fields, class_name):
    ours = perturbed(stack, **fields)
    reference = to_transformers(ours)
    assert type(reference).__name__ == class_name
    assert difference(ours, reference) <= 1e-5
    assert difference(ours.double(), reference.double()) <= 1e-6  # both keep their tables in float32
    assert difference(ours, from_transformers(reference)) <= 1e-6


def test_the_model_of_the_paper_equals_marian_in_double_precision():
    ours = perturbed("seq2seq").double()
    marian = to_transformers(ours)
    assert type(marian).__name__ == "MarianMTModel"
    # Marian always rounds its table to float32. With our table, only the order of summation differs.
    order = torch.cat([torch.arange(0, 32, 2), torch.arange(1, 32, 2)])
    with torch.no_grad():
        for stack in ("encoder", "decoder"):
            table = getattr(ours.model, stack).embed_positions.table
            getattr(marian.model, stack).embed_positions.weight.copy_(table[:, order])
    assert difference(ours, marian) <= 1e-12


def test_the_model_of_the_paper_as_marian_generates_the_same_tokens():
    ours = perturbed("seq2seq", eos_token_id=2)
    marian = to_transformers(ours)
    for beams in (1, 4):
        tokens = [
            model.generate(
                LONG, attention_mask=MASK, num_beams=beams, do_sample=False, max_new_tokens=12, no_repeat_ngram_size=2
            )
            for model in (ours, marian)
        ]
        assert torch.equal(*tokens)
        assert len(tokens[0].unique()) > 4


def test_gradients_after_the_permutation():
    ours = perturbed("seq2seq")
    marian = to_transformers(ours)
    for model in (ours, marian):
        model(input_ids=LONG, labels=LONG[:, :12].contiguous()).loss.backward()
    embeddings = (ours.model.decoder.embed_tokens.weight.grad, marian.model.shared.weight.grad)
    order = torch.cat([torch.arange(0, 32, 2), torch.arange(1, 32, 2)])
    torch.testing.assert_close(embeddings[0][:, order], embeddings[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_a_family_can_be_requested(family, caplog):
    ours = perturbed("decoder", positions_from_mask=family == "gpt2")
    with caplog.at_level(logging.WARNING):
        reference = to_transformers(ours, family=family)
    assert reference.config.model_type == family
    assert "positions_from_mask" in caplog.text  # rows padded on the left differ
    assert difference(ours, reference) <= 1e-5


def test_embeddings_are_untied_if_the_scale_is_multiplied_into_them():
    ours = perturbed("decoder", scale_embedding=True)
    reference = to_transformers(ours)
    assert not reference.config.tie_word_embeddings
    assert not torch.equal(reference.get_input_embeddings().weight, reference.get_output_embeddings().weight)


def test_the_base_encoder_with_and_without_a_pooler():
    from hf_vanilla_transformer import VanillaEncoderModel

    config = perturbed("encoder", positions_from_mask=False).config
    for pooler in (True, False):
        reference = to_transformers(VanillaEncoderModel(config, add_pooling_layer=pooler).eval())
        assert type(reference).__name__ == "BertModel"
        assert (reference.pooler is not None) == pooler
        assert (from_transformers(reference).pooler is not None) == pooler


def test_permuted_sinusoids_have_the_other_layout():
    config = perturbed("seq2seq").config
    interleaved = SinusoidalPositions(config).table
    config.position_embedding_type = "sinusoidal_concat"
    halves = SinusoidalPositions(config).table
    assert torch.equal(sines_first({"embed_tokens.weight": interleaved}, 32)["embed_tokens.weight"], halves)


def test_an_unknown_tensor_is_not_permuted():
    with pytest.raises(ValueError, match=r"rotary\.inverse_frequency"):
        sines_first({"rotary.inverse_frequency": torch.zeros(4)}, 4)
