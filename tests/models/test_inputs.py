"""Inputs of every type and shape: masks, positions, segments, labels, batches without rows."""

import pytest
import torch

import hf_vanilla_transformer as vanilla

from ..tiny_models import LANGUAGE_MODELS, gradients, tiny_model, tokens

_HEADS = {
    vanilla.VanillaEncoderForMaskedLM: "tokens",
    vanilla.VanillaEncoderForPreTraining: "tokens",
    vanilla.VanillaEncoderForSequenceClassification: "rows",
    vanilla.VanillaEncoderForTokenClassification: "classes",
    vanilla.VanillaEncoderForQuestionAnswering: "spans",
    vanilla.VanillaEncoderForMultipleChoice: "rows",
    vanilla.VanillaDecoderForCausalLM: "tokens",
    vanilla.VanillaDecoderForSequenceClassification: "rows",
    vanilla.VanillaDecoderForTokenClassification: "classes",
    vanilla.VanillaDecoderForQuestionAnswering: "spans",
    vanilla.VanillaTransformerForConditionalGeneration: "tokens",
}
by_head = pytest.mark.parametrize("model_class", _HEADS, ids=lambda model_class: model_class.__name__)
by_stack = pytest.mark.parametrize("stack", LANGUAGE_MODELS)


def batch_for(model_class, rows=2):
    ids = tokens(rows, 6)
    if model_class is vanilla.VanillaEncoderForMultipleChoice:
        ids = ids[:, None].repeat(1, 2, 1)
    kind = _HEADS[model_class]
    if kind == "tokens":
        labels = {"labels": ids}
    elif kind == "classes":
        labels = {"labels": ids % 2}
    elif kind == "rows":
        labels = {"labels": torch.arange(rows) % 2}
    else:
        labels = {"start_positions": torch.zeros(rows, dtype=torch.long), "end_positions": torch.ones(rows).long()}
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, labels


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@by_head
def test_a_batch_without_rows_passes(model_class, implementation):
    """The last batch of a process that got no rows: its gradients are 0, once its loss is multiplied by 0."""
    model = tiny_model(model_class, dropout=0.1)
    model.set_attn_implementation(implementation)
    inputs, labels = batch_for(model_class, rows=0)
    for training in (False, True):
        output = model.train(training)(**inputs, **labels, num_items_in_batch=3)
        assert output.loss == 0.0
    assert all((gradient == 0).all() for gradient in gradients(model, output.loss).values())


@by_stack
def test_rows_without_tokens_are_refused(stack):
    with pytest.raises(ValueError, match=r"input_ids.*no columns"):
        tiny_model(stack)(torch.zeros(2, 0, dtype=torch.long), **_target(stack))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.uint8, torch.int32, torch.float16, torch.float32])
@by_head
def test_labels_and_masks_of_any_type_mean_the_same(model_class, dtype):
    model = tiny_model(model_class)
    inputs, labels = batch_for(model_class)
    inputs["attention_mask"][..., -2:] = 0
    if dtype == torch.bool and _HEADS[model_class] in ("tokens", "spans"):
        labels = {name: label.clamp(max=1) for name, label in labels.items()}
    expected = model(**inputs, **labels).loss
    inputs["attention_mask"] = inputs["attention_mask"].to(dtype)
    if not dtype.is_floating_point:
        labels = {name: label.to(dtype) for name, label in labels.items()}
    torch.testing.assert_close(model(**inputs, **labels).loss, expected)


@by_head
def test_labels_that_are_no_integers_are_refused(model_class):
    inputs, labels = batch_for(model_class)
    with pytest.raises(ValueError, match=r"labels\.long\(\)"):
        tiny_model(model_class)(**inputs, **{name: label.float() for name, label in labels.items()})


@pytest.mark.parametrize("shape", [(1, 6), (3, 6), (2, 5), (2, 8), (2, 6, 6), (6,)])
@by_stack
def test_a_mask_of_another_shape_is_refused(stack, shape):
    """transformers ignores such a mask if it masks nothing, and GPT-2 in other cases too."""
    model, ids = tiny_model(stack), tokens(2, 6)
    with pytest.raises(ValueError, match=r"attention_mask.*\(2, 6\)"):
        model(ids, attention_mask=torch.ones(shape), **_target(stack))


def test_a_mask_without_the_tokens_of_the_cache_is_refused():
    model, ids = tiny_model("decoder"), tokens(2, 6)
    cache = model(ids, use_cache=True).past_key_values
    with pytest.raises(ValueError, match=r"attention_mask.*\(2, 1\).*\(2, 7\)"):
        model(ids[:, :1], attention_mask=torch.ones(2, 1), past_key_values=cache)


@by_stack
def test_positions_and_segments_outside_of_their_tables_are_named(stack):
    model, ids = tiny_model(stack, type_vocab_size=2), tokens(2, 6)
    for name, values, message in (
        ("position_ids", torch.arange(6)[None] - 1, r"position_ids.*-1"),
        ("token_type_ids", torch.full((2, 6), 2), r"token_type_ids.*2.*type_vocab_size=2"),
        ("token_type_ids", torch.full((2, 6), -1), r"token_type_ids.*-1.*type_vocab_size=2"),
    ):
        with pytest.raises(ValueError, match=message):
            model(ids, **{name: values}, **_target(stack))


@by_stack
def test_positions_of_any_integer_type_and_without_rows_dimension(stack):
    model, ids = tiny_model(stack), tokens(2, 6)
    inputs = {"attention_mask": torch.ones(2, 6), **_target(stack)}
    expected = model(ids, **inputs).logits
    for positions in (torch.arange(6), torch.arange(6)[None], torch.arange(6)[None].int().expand(2, -1)):
        torch.testing.assert_close(model(ids, position_ids=positions, **inputs).logits, expected)


def _target(stack):
    return {"decoder_input_ids": tokens(2, 4)} if stack == "seq2seq" else {}
