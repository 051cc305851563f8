"""Flash attention, with kernels of the same interface on CPU: what reaches them, and what comes of it."""

from itertools import pairwise
from unittest import mock

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from hf_vanilla_transformer.models import kernels_packing_vanilla

from ..tiny_models import gradients, tiny_model, tokens

LIBRARY = "transformers.modeling_flash_attention_utils"
CALLS = []


def flash(query, key, value, causal=False, softmax_scale=None, dropout_p=0.0):
    """flash_attn_func: (batch, length, heads, head_dim) each."""
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    output = scaled_dot_product_attention(query, key, value, is_causal=causal, scale=softmax_scale)
    return output.transpose(1, 2)


def flash_varlen(
    query, key, value, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, causal=False, softmax_scale=None
):
    """flash_attn_varlen_func: (tokens, heads, head_dim) each; a query without keys gets zeros."""
    CALLS.append(cu_seqlens_q)
    output = torch.zeros_like(query)
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert len(cu_seqlens_q) == len(cu_seqlens_k)
    assert (cu_seqlens_q[-1], cu_seqlens_k[-1]) == (len(query), len(key))
    sides = [list(pairwise(starts)) for starts in (cu_seqlens_q.tolist(), cu_seqlens_k.tolist())]
    for (first, last), (first_key, last_key) in zip(*sides):
        assert last - first <= max_seqlen_q and last_key - first_key <= max_seqlen_k
        if last > first and last_key > first_key:
            keys = slice(first_key, last_key)
            output[first:last] = flash(query[None, first:last], key[None, keys], value[None, keys], causal)[0]
    return output


@pytest.fixture(autouse=True)
def kernels():
    """The library, in place of which transformers would import flash_attn."""
    from transformers import modeling_flash_attention_utils as library

    def process(max_seqlen_q=None, max_seqlen_k=None, is_causal=False, softmax_scale=None, **unused):
        lengths = {} if max_seqlen_q is None else {"max_seqlen_q": max_seqlen_q, "max_seqlen_k": max_seqlen_k}
        return {"causal": is_causal, "softmax_scale": softmax_scale, **lengths}

    functions = (flash, flash_varlen, None, library._pad_input, library._unpad_input)
    CALLS.clear()
    with mock.patch(f"{LIBRARY}.lazy_import_flash_attention", lambda name: (functions, (process, process))):
        yield


def use_flash(model):
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.config._attn_implementation_internal = "flash_attention_2"


def packed_rows(stack, padding):
    """Three rows of several sequences, with padding on a side."""
    length = 12
    numbers = torch.tensor([[0] * 5 + [1] * 7, [0] * 2 + [1] * 3 + [2] * 7, [0] * 12])
    mask = torch.ones(3, length, dtype=torch.long)
    if padding == "right":
        mask[0, -3:] = mask[1, -1:] = 0
    elif padding == "left":
        mask[0, :3] = mask[1, :1] = 0
    labels = tokens(3, length, seed=1)
    labels[mask == 0] = -100
    batch = {"input_ids": tokens(3, length), "seq_idx": numbers, "attention_mask": mask, "labels": labels}
    if stack == "seq2seq":
        batch["decoder_seq_idx"] = torch.tensor([[0] * 8 + [1] * 4, [0] * 4 + [1] * 6 + [2] * 2, [0] * 12])
        batch["labels"] = tokens(3, length, seed=1)
    elif stack == "decoder":
        # The last padding before a sequence would be asked for its first token, and what padding sees differs.
        labels[:, 1:][mask[:, :-1] == 0] = -100
    return batch if padding else {name: value for name, value in batch.items() if name != "attention_mask"}


@pytest.mark.parametrize("padding", [None, "right", "left"])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_several_packed_rows_equal_eager(stack, padding):
    model = tiny_model(stack, dropout=0, attention_dropout=0).double().train()
    batch = packed_rows(stack, padding)
    model.set_attn_implementation("eager")
    loss = model(**batch).loss
    expected = gradients(model, loss)
    use_flash(model)
    found = model(**batch).loss
    torch.testing.assert_close(found, loss, rtol=0, atol=1e-12)
    for name, gradient in gradients(model, found).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-11, msg=name)
    assert CALLS, "no kernel for variable lengths was called"


def test_the_lengths_of_packed_rows_are_found_once_for_all_layers():
    model = tiny_model("seq2seq", layers=3)
    use_flash(model)
    found = kernels_packing_vanilla._sequences
    with mock.patch.object(kernels_packing_vanilla, "_sequences", side_effect=found) as finding:
        model(**packed_rows("seq2seq", "right"))
    assert finding.call_count == 3  # self-attention of both stacks, and cross-attention
    assert len(CALLS) == 9


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_packed_rows_told_by_their_positions_equal_eager(stack):
    model = tiny_model(stack)
    batch = {"input_ids": tokens(2, 9), "position_ids": torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4, 5], [*range(9)]])}
    model.set_attn_implementation("eager")
    expected = model(**batch).logits
    use_flash(model)
    torch.testing.assert_close(model(**batch).logits, expected, rtol=1e-4, atol=1e-5)
