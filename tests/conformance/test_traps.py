"""What bites out-of-tree models in transformers 5, each with the test that would have caught it."""

from __future__ import annotations

import copy
import inspect
import re
from unittest import mock

import pytest
import torch
from torch.nn import functional
from transformers import AttentionInterface, AutoModel, PreTrainedModel, PreTrainedTokenizerFast
from transformers.trainer_utils import align_special_tokens

import hf_vanilla_transformer as ours
from hf_vanilla_transformer.models.attention_vanilla import CrossAttention
from tests.conformance.pipeline_models import tokenizer
from tests.conformance.tiny_stacks import (
    BASE_MODELS,
    HEADS,
    LANGUAGE_MODELS,
    TINY,
    build,
    config_for,
    gradients,
    inputs_for,
    labels_for,
)

by_name = {"ids": lambda model_class: model_class.__name__}


def rows_of(tensors, part):
    """The same rows of every tensor."""
    return {name: value[part] for name, value in tensors.items()}


# T1: heads that drop num_items_in_batch break gradient accumulation.


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("model_class", HEADS, **by_name)
def test_four_batches_of_two_give_the_gradient_of_one_of_eight(model_class):
    model = build(model_class).train()
    inputs = inputs_for(model_class, rows=8)
    labels = labels_for(model_class, inputs)
    counted = labels.get("labels", labels.get("start_positions"))
    items = (counted != -100).sum()
    if model_class.__name__.endswith("CausalLM"):
        items = (counted[:, 1:] != -100).sum()  # the first token of a row is never predicted

    # Without the keyword the loss is a mean, and with it the same; only next-sentence labels are then weighted.
    whole_keyword = {"num_items_in_batch": items} if model_class.__name__.endswith("PreTraining") else {}
    whole = model(**inputs, **labels, **whole_keyword).loss
    whole.backward()
    expected = gradients(model)
    model.zero_grad()

    total = 0.0
    for start in range(0, 8, 2):
        part = slice(start, start + 2)
        loss = model(**rows_of(inputs, part), **rows_of(labels, part), num_items_in_batch=items).loss
        loss.backward()
        total += loss.item()
    assert total == pytest.approx(whole.item(), rel=1e-5)
    found = gradients(model)
    assert found.keys() == expected.keys() and found
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model_class", HEADS, **by_name)
def test_heads_accept_the_trainers_keyword(model_class):
    """`Trainer` looks for **kwargs in `forward`, and otherwise divides the loss itself."""
    parameters = inspect.signature(model_class.forward).parameters.values()
    assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


# T2: label smoothing in a trainer does not shift for out-of-tree models; it is in the model.


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("model_class", LANGUAGE_MODELS, **by_name)
@pytest.mark.parametrize("return_logits", [False, True])
def test_label_smoothing_is_aligned_and_only_in_training(model_class, return_logits):
    epsilon = 0.1
    model = build(model_class, label_smoothing=epsilon)
    inputs = inputs_for(model_class)
    labels = labels_for(model_class, inputs)["labels"]
    logits = model(**inputs).logits
    aligned = labels
    if model_class is ours.VanillaDecoderForCausalLM:
        logits, aligned = logits[:, :-1], labels[:, 1:]

    def expected(smoothing):
        return functional.cross_entropy(logits.flatten(0, 1), aligned.flatten(), label_smoothing=smoothing)

    smoothed = model.train()(**inputs, labels=labels, return_logits=return_logits)
    torch.testing.assert_close(smoothed.loss, expected(epsilon))
    assert (smoothed.logits is None) == (not return_logits)
    torch.testing.assert_close(model.eval()(**inputs, labels=labels).loss, expected(0.0))


# T3: flash attention unpads the queries of cross-attention with the mask of the source.


def _like_flash_attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    """An imitation of flash attention on CPU: one 2-D mask removes padding from both queries and keys."""
    assert attention_mask is None or attention_mask.dim() == 2, "flash attention takes 2-D masks only"
    causal = module.is_causal and query.shape[2] > 1
    if attention_mask is None:
        output = functional.scaled_dot_product_attention(query, key, value, scale=scaling, is_causal=causal)
        return output.transpose(1, 2), None
    output = torch.zeros_like(query)
    for row, mask in enumerate(attention_mask.bool()):
        # With one query there is nothing to take out; with several, the keys' mask is used for them too.
        kept = slice(None) if query.shape[2] == 1 else mask[-query.shape[2] :]
        one = functional.scaled_dot_product_attention(
            query[row, :, kept], key[row, :, mask], value[row, :, mask], scale=scaling, is_causal=causal
        )
        output[row, :, kept] = one
    return output.transpose(1, 2), None


@pytest.fixture
def flash_on_cpu():
    """A function that makes a model use the imitation in place of flash attention, without the library."""

    def use(model):
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                module.config._attn_implementation_internal = "flash_attention_2"

    with mock.patch.dict(AttentionInterface._global_mapping, {"flash_attention_2": _like_flash_attention}):
        yield use


@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_flash_attention_with_padding_equals_eager(model_class, flash_on_cpu):
    model, inputs = build(model_class), inputs_for(model_class)
    # Without a mask of the target every query must be right, however much padding the source has.
    inputs.pop("decoder_attention_mask", None)
    if model_class is ours.VanillaTransformerModel:
        kept = torch.ones_like(inputs["decoder_input_ids"]).bool()
    else:
        kept = inputs["attention_mask"].bool()
    with torch.no_grad():
        model.set_attn_implementation("eager")
        expected = model(**inputs).last_hidden_state[kept]
        flash_on_cpu(model)
        torch.testing.assert_close(model(**inputs).last_hidden_state[kept], expected, rtol=1e-4, atol=1e-5)
        if model_class is ours.VanillaTransformerModel:
            # Without the correction, the imitation shows the error.
            with mock.patch.object(CrossAttention, "is_cross_attention", False):
                assert not torch.allclose(model(**inputs).last_hidden_state[kept], expected, atol=1e-2)


def test_flash_attention_generates_what_eager_does(flash_on_cpu):
    model_class = ours.VanillaTransformerForConditionalGeneration
    model, inputs = build(model_class), inputs_for(model_class)
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    model.set_attn_implementation("eager")
    expected = model.generate(**source, max_new_tokens=6, num_beams=2)
    flash_on_cpu(model)
    assert model.generate(**source, max_new_tokens=6, num_beams=2).tolist() == expected.tolist()


# T4: "...ForConditionalGeneration" gets the loss that shifts, by its name.


@pytest.mark.usefixtures("both_losses")
def test_the_encoder_decoder_loss_is_not_shifted_twice():
    model_class = ours.VanillaTransformerForConditionalGeneration
    model = build(model_class)
    inputs = inputs_for(model_class)
    labels = labels_for(model_class, inputs)["labels"]
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    assert model.loss_type == "ForMaskedLM"
    output = model(**source, labels=labels)
    # The decoder reads the labels one place later: start token, then the labels, padding where there is none.
    shifted = torch.full_like(labels, model.config.decoder_start_token_id)
    shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == -100, model.config.pad_token_id)
    torch.testing.assert_close(output.logits, model(**source, decoder_input_ids=shifted).logits)
    expected = functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(output.loss, expected)


@pytest.mark.usefixtures("both_losses")
def test_the_causal_loss_is_shifted_once():
    model = build(ours.VanillaDecoderForCausalLM)
    ids = inputs_for(ours.VanillaDecoderForCausalLM)["input_ids"]
    output = model(ids, labels=ids)
    torch.testing.assert_close(
        output.loss, functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    )


# T5: heads that ask AutoModel for their base fail under trust_remote_code.


@pytest.mark.parametrize("model_class", HEADS, **by_name)
def test_heads_build_their_base_without_auto_classes(model_class):
    with mock.patch.object(AutoModel, "from_config", side_effect=AssertionError("AutoModel was asked")) as asked:
        model_class(config_for(model_class))
    asked.assert_not_called()


# T6: resizing leaves part of an encoder-decoder behind.


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
def test_resizing_reaches_everything(share, tie, tmp_path):
    model_class = ours.VanillaTransformerForConditionalGeneration
    model = build(model_class, share_encoder_decoder_embeddings=share, tie_word_embeddings=tie, lm_head_bias=True)
    inputs = inputs_for(model_class)
    before = model(**inputs).logits
    model.resize_token_embeddings(TINY["vocab_size"] + 5)
    stacks = (model.model.encoder, model.model.decoder)
    assert {stack.embed_tokens.num_embeddings for stack in stacks} == {TINY["vocab_size"] + 5}
    assert {config.vocab_size for config in (model.config, *(s.config for s in stacks))} == {TINY["vocab_size"] + 5}
    after = model(**inputs).logits
    assert after.shape[-1] == TINY["vocab_size"] + 5
    torch.testing.assert_close(after[..., :-5], before)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(model_class.from_pretrained(tmp_path)(**inputs).logits, after)
    _check_ties(model, share, tie)


def _check_ties(model, share, tie):
    """A value written through one name appears under exactly the names that share the weight."""
    encoder, decoder = model.model.encoder.embed_tokens.weight, model.model.decoder.embed_tokens.weight
    with torch.no_grad():
        decoder[3, 3] = 123.0
    assert (encoder[3, 3] == 123.0) == share
    assert (model.lm_head.weight[3, 3] == 123.0) == tie


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
def test_ties_survive_saving_and_loading(share, tie, tmp_path):
    model_class = ours.VanillaTransformerForConditionalGeneration
    model = build(model_class, share_encoder_decoder_embeddings=share, tie_word_embeddings=tie)
    inputs = inputs_for(model_class)
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    loaded, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    torch.testing.assert_close(loaded(**inputs).logits, expected, rtol=0, atol=0)
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in model.parameters())
    _check_ties(loaded, share, tie)


@pytest.mark.parametrize("model_class", [ours.VanillaEncoderForMaskedLM, ours.VanillaDecoderForCausalLM], **by_name)
@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
def test_the_head_is_tied_as_configured(model_class, tie, tmp_path):
    build(model_class, tie_word_embeddings=tie).save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    with torch.no_grad():
        loaded.model.embed_tokens.weight[3, 3] = 123.0
    assert (loaded.lm_head.weight[3, 3] == 123.0) == tie
    loaded.resize_token_embeddings(TINY["vocab_size"] + 3)
    assert (loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()) == tie


def test_each_half_can_be_saved_and_loaded_alone(tmp_path):
    model = build(ours.VanillaTransformerForConditionalGeneration)
    inputs = inputs_for(ours.VanillaTransformerForConditionalGeneration)
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    model.get_encoder().save_pretrained(tmp_path / "encoder")
    alone = AutoModel.from_pretrained(tmp_path / "encoder", add_pooling_layer=False)
    assert isinstance(alone, ours.VanillaEncoderModel)
    expected = model.get_encoder()(**source).last_hidden_state
    torch.testing.assert_close(alone(**source).last_hidden_state, expected)


# T7: a composite config that keeps and changes the configs it was given.


@pytest.mark.parametrize("model_class", [*BASE_MODELS, *HEADS], **by_name)
def test_building_a_model_leaves_the_config_alone(model_class):
    config = config_for(model_class)
    before = copy.deepcopy(config.to_dict())
    model = model_class(config)
    model_class(config)
    assert config.to_dict() == before
    if model_class.__name__.startswith("VanillaTransformer"):
        stacks = (model.get_encoder().config, model.get_decoder().config)
        assert config is not stacks[0] and config is not stacks[1] and stacks[0] is not stacks[1]


# T8: a config that swallows what it does not know.


@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_a_mistyped_field_is_an_error(model_class, tmp_path):
    config_class = model_class.config_class
    with pytest.raises(TypeError, match=r"hiden_size.*hidden_size"):
        config_class(hiden_size=64)
    config_for(model_class).save_pretrained(tmp_path)
    with pytest.raises((TypeError, ValueError), match="dropuot"):
        config_class.from_dict({**config_for(model_class).to_dict(), "dropuot": 0.3})
    assert config_class.from_pretrained(tmp_path).to_dict() == config_for(model_class).to_dict()


def test_no_field_is_called_is_causal():
    """transformers would pass it to every attention, the cross-attention included."""
    for model_class in BASE_MODELS:
        assert not hasattr(config_for(model_class), "is_causal")


# T9: special tokens that a tokenizer brings reach only part of a config.


def test_special_tokens_of_a_tokenizer_reach_the_model():
    model = build(ours.VanillaTransformerForConditionalGeneration)
    words: PreTrainedTokenizerFast = tokenizer()
    words.pad_token_id = 7
    align_special_tokens(model, words)
    assert model.config.pad_token_id == 7
    shifted = model.prepare_decoder_input_ids_from_labels(torch.tensor([[5, 6, -100, -100]]))
    assert shifted.tolist() == [[model.config.decoder_start_token_id, 5, 6, 7]]


# The sinusoid table: not saved, so it must be rebuilt; exact in every type and on meta.


def _table(config):
    """Section 3.5, in float64."""
    positions = torch.arange(config.max_position_embeddings, dtype=torch.float64)[:, None]
    even = torch.arange(0, config.hidden_size, 2, dtype=torch.float64)
    angles = positions / 10000 ** (even / config.hidden_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_sinusoids_are_right_after_loading(dtype, tmp_path):
    config = config_for(ours.VanillaTransformerModel)
    ours.VanillaTransformerModel(config).save_pretrained(tmp_path)
    loaded = ours.VanillaTransformerModel.from_pretrained(tmp_path, dtype=dtype)
    expected = _table(config)
    for stack in (loaded.encoder, loaded.decoder):
        table = stack.embed_positions.table
        # Rounded once to a floating type, never computed in it: bf16 angles would be wrong by whole turns.
        torch.testing.assert_close(table.double(), expected.to(table.dtype).double(), rtol=0, atol=1e-7)
        assert torch.finfo(table.dtype).bits >= min(torch.finfo(dtype).bits, 32)
    assert not any("embed_positions" in name for name in loaded.state_dict())


def test_sinusoids_are_right_after_meta():
    config = config_for(ours.VanillaTransformerModel)
    with torch.device("meta"):
        model = ours.VanillaTransformerModel(config)
    model.to_empty(device="cpu")
    model.init_weights()
    for stack in (model.encoder, model.decoder):
        torch.testing.assert_close(stack.embed_positions.table.double(), _table(config), rtol=0, atol=1e-7)


def test_sinusoids_grow_beyond_the_table():
    model = build(ours.VanillaTransformerForConditionalGeneration)
    long = torch.randint(3, TINY["vocab_size"], (1, 2 * TINY["max_position_embeddings"]))
    large = build(ours.VanillaTransformerForConditionalGeneration, max_position_embeddings=200)
    with torch.no_grad():
        torch.testing.assert_close(
            model(long, decoder_input_ids=long).logits, large(long, decoder_input_ids=long).logits
        )


# Attention: which of the three is causal, and what is handed to the kernel.


@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_sdpa_is_told_what_is_causal(model_class):
    model, inputs = build(model_class), inputs_for(model_class)
    ids = {name: value for name, value in inputs.items() if name.endswith("input_ids")}
    seen = []
    true_attention = functional.scaled_dot_product_attention

    def spy(*args, is_causal=False, attn_mask=None, **kwargs):
        seen.append((bool(is_causal), attn_mask is None))
        return true_attention(*args, is_causal=is_causal, attn_mask=attn_mask, **kwargs)

    model.set_attn_implementation("sdpa")
    with mock.patch.object(functional, "scaled_dot_product_attention", spy), torch.no_grad():
        model(**ids, use_cache=False)
    encoder, decoder = [(False, True)], [(True, True)]
    layer = {"VanillaEncoderModel": encoder, "VanillaDecoderModel": decoder}.get(model_class.__name__)
    expected = 2 * layer if layer else 2 * encoder + 2 * (decoder + encoder)  # self, then cross
    assert seen == expected


@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_the_future_and_padding_are_not_seen(model_class):
    """Changing a later token changes nothing before it in a decoder; changing padding changes nothing anywhere."""
    model, inputs = build(model_class), inputs_for(model_class)
    kept = inputs.get("decoder_attention_mask", inputs["attention_mask"]).bool()
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            before = model(**inputs).last_hidden_state
            changed = dict(inputs)
            changed["input_ids"] = torch.where(inputs["attention_mask"] == 0, 9, inputs["input_ids"])
            torch.testing.assert_close(model(**changed).last_hidden_state[kept], before[kept])
            name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
            changed = {**inputs, name: inputs[name].clone()}
            changed[name][0, 4] = (changed[name][0, 4] + 1) % 50 + 3
            after = model(**changed).last_hidden_state
        if model_class is ours.VanillaEncoderModel:
            assert (after[0, 0] - before[0, 0]).abs().max() > 1e-4
        else:
            torch.testing.assert_close(after[0, :4], before[0, :4])
            assert (after[0, 4] - before[0, 4]).abs().max() > 1e-4


def test_keywords_reach_the_attention():
    """Serving engines pass keywords to their own kernel through `forward`."""
    received = []

    def kernel(module, query, key, value, attention_mask, note=None, **kwargs):
        received.append(note)
        return query.transpose(1, 2).contiguous(), None

    AttentionInterface.register("noting_attention", kernel)
    try:
        for model_class in BASE_MODELS:
            model = build(model_class)
            model.set_attn_implementation("noting_attention")
            received.clear()
            model(**inputs_for(model_class), note="passed on")
            assert set(received) == {"passed on"} and received
            assert model._supports_attention_backend
    finally:
        AttentionInterface._global_mapping.pop("noting_attention")


@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_the_kernel_changes_as_often_as_it_is_set(model_class):
    model = build(model_class)
    for implementation in ("eager", "sdpa", "eager"):
        model.set_attn_implementation(implementation)
        parts = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
        assert {part.config._attn_implementation for part in parts} == {implementation}


# Recording.


@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_hidden_states_and_attentions_are_recorded(model_class):
    model, inputs = build(model_class), inputs_for(model_class)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True, output_attentions=True)
    source = inputs["input_ids"].shape
    if model_class is ours.VanillaTransformerModel:
        target = inputs["decoder_input_ids"].shape
        recorded = [
            (output.encoder_hidden_states, output.encoder_attentions, output.encoder_last_hidden_state, source, source),
            (output.decoder_hidden_states, output.decoder_attentions, output.last_hidden_state, target, target),
            (output.decoder_hidden_states, output.cross_attentions, output.last_hidden_state, target, source),
        ]
    else:
        recorded = [(output.hidden_states, output.attentions, output.last_hidden_state, source, source)]
    for hidden, attentions, last, queries, keys in recorded:
        assert [tuple(states.shape) for states in hidden] == [(*queries, model.config.hidden_size)] * 3
        assert [tuple(weights.shape) for weights in attentions] == [(queries[0], 2, queries[1], keys[1])] * 2
        torch.testing.assert_close(hidden[-1], last)
        for weights in attentions:
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))


# Checkpointing, compiling.


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("model_class", LANGUAGE_MODELS, **by_name)
@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not-reentrant"])
def test_gradient_checkpointing_changes_nothing(model_class, reentrant):
    model = build(model_class, dropout=0.1, attention_dropout=0.1).train()
    inputs = inputs_for(model_class)
    inputs.update(labels_for(model_class, inputs))

    def run():
        model.zero_grad()
        torch.manual_seed(4)
        loss = model(**inputs).loss
        loss.backward()
        return loss.detach(), gradients(model)

    loss, expected = run()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    checkpointed_loss, found = run()
    torch.testing.assert_close(checkpointed_loss, loss)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("model_class", LANGUAGE_MODELS, **by_name)
@pytest.mark.parametrize(
    "training", [pytest.param(False, id="evaluation", marks=pytest.mark.slow), pytest.param(True, id="training")]
)
def test_a_forward_pass_is_one_graph(model_class, training):
    model = build(model_class).train(training)
    assert model._can_compile_fullgraph
    inputs = inputs_for(model_class)
    inputs.update(labels_for(model_class, inputs))
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    expected, found = model(**inputs, use_cache=False), compiled(**inputs, use_cache=False)
    torch.testing.assert_close(found.loss, expected.loss)
    if not training:
        torch.testing.assert_close(found.logits, expected.logits)


@pytest.mark.slow
@pytest.mark.parametrize("model_class", BASE_MODELS, **by_name)
def test_flex_attention_equals_eager(model_class):
    """The mixin's own test of flex attention needs an accelerator; on CPU the kernel is compiled by inductor."""
    model, inputs = build(model_class, hidden_size=32), inputs_for(model_class)
    kept = inputs.get("decoder_attention_mask", inputs["attention_mask"]).bool()
    with torch.no_grad():
        model.set_attn_implementation("eager")
        expected = model(**inputs).last_hidden_state[kept]
        model.set_attn_implementation("flex_attention")
        torch.testing.assert_close(model(**inputs).last_hidden_state[kept], expected, rtol=1e-4, atol=1e-5)


# Plans for several devices.


def planned(plan, names):
    """The names that match a pattern of a plan, where a star is the number of a layer."""
    return {name for name in names if re.sub(r"\.\d+", ".*", name) in plan}


@pytest.mark.parametrize("model_class", [*BASE_MODELS, *HEADS], **by_name)
def test_plans_for_several_devices_name_what_exists(model_class):
    model = build(model_class)
    linear_maps = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    in_layers = {name for name in linear_maps if ".layers." in f".{name}"}
    assert in_layers and in_layers <= planned(model._tp_plan, linear_maps), "the tensor-parallel plan cuts every map"
    modules = {name for name, _ in model.named_modules()}
    whole = planned(model._fsdp_plan, modules)
    absent = set(model._fsdp_plan) - {re.sub(r"\.\d+", ".*", name) for name in whole}
    assert all(name.endswith("norm") for name in absent), "only the norm that closes a pre-norm stack may be absent"
    layers = {name for name in modules if name.rsplit(".", 2)[-2:-1] == ["layers"]}
    assert layers and layers <= whole, "every layer is a unit of FSDP2"


@pytest.mark.parametrize("model_class", BASE_MODELS[:2], **by_name)
def test_a_stack_has_one_list_of_layers_and_no_pipeline_plan(model_class):
    """transformers' pipeline stages give a decoder wrong logits, so no plan invites to them."""
    model = build(model_class)
    lists = [name for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)]
    assert lists == ["layers"]
    assert not model._pp_plan


def test_saved_generation_settings_do_not_disturb_the_config(tmp_path):
    """transformers refuses to save a configuration with generation settings that are not fields of it."""
    for model_class in LANGUAGE_MODELS:
        folder = tmp_path / model_class.__name__
        build(model_class).save_pretrained(folder)
        assert model_class.from_pretrained(folder).config.to_dict().keys() >= {"use_cache", "eos_token_id"}
