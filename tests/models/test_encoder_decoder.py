"""The two stacks together: shifted labels, shared embeddings, each stack saved alone, errors for missing tokens."""

import pytest
import torch

from hf_vanilla_transformer import (
    VanillaDecoderModel,
    VanillaEncoderModel,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerModel,
)

from ..tiny_models import tiny_model, tokens


def test_labels_are_shifted_right_behind_the_start_token():
    model = tiny_model("seq2seq")
    labels = torch.tensor([[7, 8, 1, -100]])
    assert model.prepare_decoder_input_ids_from_labels(labels).tolist() == [[3, 7, 8, 1]]
    by_hand = model(input_ids=tokens(1, 5), decoder_input_ids=torch.tensor([[3, 7, 8, 1]]), labels=labels).loss
    torch.testing.assert_close(model(input_ids=tokens(1, 5), labels=labels).loss, by_hand)


@pytest.mark.parametrize("missing", ["decoder_start_token_id", "pad_token_id"])
def test_a_missing_token_is_named(missing):
    model = tiny_model("seq2seq", **{missing: None})
    with pytest.raises(ValueError, match=f"{missing} is None"):
        model(input_ids=tokens(1, 5), labels=tokens(1, 5))


def test_a_missing_target_is_named():
    model = VanillaTransformerModel(tiny_model("seq2seq").config)
    with pytest.raises(ValueError, match="decoder_input_ids"):
        model(input_ids=tokens(1, 5))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_sharing_and_tying_are_two_switches_that_survive_saving_and_resizing(tied, shared, tmp_path):
    fields = {"tie_word_embeddings": tied, "share_encoder_decoder_embeddings": shared}
    tiny_model("seq2seq", **fields).save_pretrained(tmp_path)
    model = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path)
    for _ in range(2):
        encoder, decoder = model.model.encoder.embed_tokens.weight, model.model.decoder.embed_tokens.weight
        assert (encoder is decoder) == shared
        assert (model.lm_head.weight is decoder) == tied
        assert encoder.shape == decoder.shape == model.lm_head.weight.shape
        model.resize_token_embeddings(60)
        assert model.config.vocab_size == model.get_encoder().config.vocab_size == 60
    model(input_ids=torch.tensor([[59]]), labels=torch.tensor([[59]]))


@pytest.mark.parametrize("fields", [{}, {"norm_first": True, "position_embedding_type": "learned"}])
def test_each_stack_can_be_saved_and_loaded_alone(fields, tmp_path):
    model = tiny_model("seq2seq", **fields)
    ids = tokens(2, 5)
    model.get_encoder().save_pretrained(tmp_path / "encoder")
    encoder = VanillaEncoderModel.from_pretrained(tmp_path / "encoder", add_pooling_layer=False)
    assert encoder.config.model_type == "vanilla_encoder"
    states = encoder(ids).last_hidden_state
    torch.testing.assert_close(states, model.get_encoder()(ids).last_hidden_state, rtol=0, atol=0)
    model.get_decoder().save_pretrained(tmp_path / "decoder")
    decoder = VanillaDecoderModel.from_pretrained(tmp_path / "decoder")
    alone = decoder(ids, encoder_hidden_states=states).last_hidden_state
    together = model.model(input_ids=ids, decoder_input_ids=ids).last_hidden_state
    torch.testing.assert_close(alone, together, rtol=0, atol=0)


def test_outputs_switched_on_later_reach_both_stacks():
    model = tiny_model("seq2seq")
    model.set_attn_implementation("eager")
    model.config.output_attentions = True
    outputs = model(input_ids=tokens(1, 4), decoder_input_ids=tokens(1, 3))
    assert [len(maps) for maps in (outputs.encoder_attentions, outputs.decoder_attentions)] == [2, 2]
    assert outputs.cross_attentions[0].shape == (1, 2, 3, 4)
    torch.testing.assert_close(outputs.cross_attentions[0].sum(-1), torch.ones(1, 2, 3))


def test_segments_belong_to_the_source():
    model = tiny_model("seq2seq", type_vocab_size=2)
    source, segments = tokens(2, 6), torch.tensor([[0, 0, 0, 1, 1, 1]] * 2)
    mask = torch.ones_like(source)
    with torch.no_grad():
        encoded = model.get_encoder()(source, attention_mask=mask, token_type_ids=segments)
        inputs = {"attention_mask": mask, "decoder_input_ids": tokens(2, 4, seed=1)}
        found = model(source, token_type_ids=segments, **inputs).logits
        torch.testing.assert_close(found, model(encoder_outputs=encoded, **inputs).logits)
        plain = model(source, **inputs).logits
        assert not torch.allclose(found, plain)
        target_segments = torch.ones(2, 4, dtype=torch.long)
        assert not torch.allclose(model(source, decoder_token_type_ids=target_segments, **inputs).logits, plain)


@pytest.mark.parametrize("beams", [1, 2])
def test_generation_encodes_the_source_with_its_segments(beams):
    model = tiny_model("seq2seq", type_vocab_size=2)
    source, segments = tokens(2, 6), torch.tensor([[0, 0, 0, 1, 1, 1]] * 2)
    mask = torch.ones_like(source)
    options = {"attention_mask": mask, "max_new_tokens": 3, "return_dict_in_generate": True, "output_logits": True}
    found = model.generate(source, token_type_ids=segments, num_beams=beams, **options)
    encoded = model.get_encoder()(source, attention_mask=mask, token_type_ids=segments)
    expected = model.generate(encoder_outputs=encoded, num_beams=beams, **options)
    assert torch.equal(found.sequences, expected.sequences)
    torch.testing.assert_close(found.logits, expected.logits)
