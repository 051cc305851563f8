"""Tables and heads of another size: vocabulary, head, bias, configuration and saved folder agree afterwards."""

import pytest
import torch
from torch import nn

from ..tiny_models import tiny_model, tokens

_SLOW = pytest.mark.slow
_CASES = [
    ("encoder", {}),
    ("decoder", {"tie_word_embeddings": False, "lm_head_bias": True}),
    ("seq2seq", {}),
    ("seq2seq", {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False, "lm_head_bias": True}),
    pytest.param("encoder", {"tie_word_embeddings": False}, marks=_SLOW),
    pytest.param("encoder", {"lm_head_transform": False, "lm_head_bias": False}, marks=_SLOW),
    pytest.param("decoder", {}, marks=_SLOW),
    pytest.param("decoder", {"lm_head_transform": True}, marks=_SLOW),
    pytest.param("seq2seq", {"lm_head_bias": True}, marks=_SLOW),
    pytest.param("seq2seq", {"tie_word_embeddings": False}, marks=_SLOW),
    pytest.param("seq2seq", {"share_encoder_decoder_embeddings": False}, marks=_SLOW),
]
in_each_case = pytest.mark.parametrize("stack, fields", _CASES)


def assert_agrees(model, size, folder):
    for name, module in model.named_modules(remove_duplicate=False):
        if hasattr(module, "config"):
            assert module.config.vocab_size == size, name
        if name.endswith("embed_tokens"):
            assert module.num_embeddings == module.weight.shape[0] == size, name
    head = model.lm_head
    assert head.out_features == head.weight.shape[0] == size
    assert head.bias is None or head.bias.shape == (size,)
    ids = tokens(2, 5) % size
    inputs = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    model.save_pretrained(folder)
    loaded, report = type(model).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    with torch.no_grad():
        logits = model.eval()(ids, **inputs).logits
        assert logits.shape[-1] == size
        torch.testing.assert_close(loaded.eval()(ids, **inputs).logits, logits)
    model.train()(input_ids=ids, labels=ids).loss.backward()


def assert_tied_as_configured(model):
    config = model.config
    table = model.model.decoder.embed_tokens if config.is_encoder_decoder else model.get_input_embeddings()
    assert (model.lm_head.weight is table.weight) == config.tie_word_embeddings
    if config.is_encoder_decoder:
        shared = model.model.encoder.embed_tokens.weight is table.weight
        assert shared == config.share_encoder_decoder_embeddings


@pytest.mark.parametrize("size", [57, 33])
@in_each_case
def test_resized(stack, fields, size, tmp_path):
    model = tiny_model(stack, **fields)
    before = model.get_input_embeddings().weight[:33].detach().clone()
    model.resize_token_embeddings(size)
    assert torch.equal(model.get_input_embeddings().weight[:33], before)
    assert_agrees(model, size, tmp_path)
    assert_tied_as_configured(model)


@pytest.mark.parametrize("size", [57, 33])
@in_each_case
def test_a_table_of_another_size(stack, fields, size, tmp_path):
    model = tiny_model(stack, **fields)
    table = nn.Embedding(size, 16, padding_idx=0)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    assert_agrees(model, size, tmp_path)
    assert_tied_as_configured(model)


@pytest.mark.parametrize("size", [57, 33])
@in_each_case
def test_a_head_of_another_size(stack, fields, size, tmp_path):
    model = tiny_model(stack, **fields)
    head = nn.Linear(16, size, bias=model.config.lm_head_bias)
    model.set_output_embeddings(head)
    assert model.lm_head is head
    assert_agrees(model, size, tmp_path)


@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_both_by_hand_as_for_other_models(stack, tmp_path):
    model = tiny_model(stack)
    model.set_input_embeddings(nn.Embedding(57, 16, padding_idx=0))
    model.set_output_embeddings(nn.Linear(16, 57, bias=model.config.lm_head_bias))
    model.tie_weights()
    assert_agrees(model, 57, tmp_path)
    assert_tied_as_configured(model)


@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_a_module_that_is_no_table_changes_nothing_else(stack):
    """Prompt tuning replaces the table by a module that holds it."""

    class SoftPrompt(nn.Module):
        def __init__(self, table):
            super().__init__()
            self.table = table

        def forward(self, ids):
            return self.table(ids)

    model = tiny_model(stack)
    ids = tokens(2, 5)
    inputs = {"decoder_input_ids": ids} if stack == "seq2seq" else {}
    expected = model(ids, **inputs).logits
    model.set_input_embeddings(SoftPrompt(model.get_input_embeddings()))
    torch.testing.assert_close(model(ids, **inputs).logits, expected)
    if model.can_generate():
        assert model.generate(ids, max_new_tokens=2).shape[0] == 2
    assert model.config.vocab_size == model.lm_head.out_features == 50


@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_a_size_that_cannot_be_is_refused(stack):
    model = tiny_model(stack, pad_token_id=7)
    with pytest.raises(ValueError, match=r"new_num_tokens=5.*pad_token_id=7"):
        model.resize_token_embeddings(5)
    with pytest.raises(ValueError, match=r"new_num_tokens.*0"):
        model.resize_token_embeddings(0)
    assert model.resize_token_embeddings(5, pad_to_multiple_of=8).num_embeddings == 8
