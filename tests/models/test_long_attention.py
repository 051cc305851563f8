"""Attention with dropout over long sequences on CPU: the numbers of equation 1, with memory linear in the length."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hf_vanilla_transformer.models.kernels_attention_vanilla import ALL_ATTENTION_FUNCTIONS, plain_sdpa_forward

LENGTH = 2200  # more than is computed at once, and not a multiple of a block
PADDING = 150


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operator returns, backward pass included."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.elements = max([self.elements, *(one.untyped_storage().nbytes() // one.itemsize for one in tensors)])
        return result


def states(queries: int = LENGTH) -> list[torch.Tensor]:
    """Query, key and value of one head, in float64."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, 1, length, 4, generator=generator, dtype=torch.float64, requires_grad=True)
        for length in (queries, LENGTH, LENGTH)
    ]


def written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Equation 1 with all scores and a dense mask, (batch, queries, heads, head_dim)."""
    scores = (query @ key.mT / query.shape[-1] ** 0.5).masked_fill(~mask, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(1, 2)


def padding_mask(side: str, keys: int) -> torch.Tensor:
    visible = torch.ones(1, 1, 1, keys, dtype=torch.bool)
    visible[..., slice(PADDING) if side == "left" else slice(-PADDING, None)] = False
    return visible


def dense_mask(side: str) -> torch.Tensor:
    """Causal and padded; a padded query sees itself."""
    causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    return (causal & padding_mask(side, LENGTH)) | torch.eye(LENGTH, dtype=torch.bool)


@pytest.mark.parametrize("case", ["two-sided", "causal", "padding left", "padding right", "dense left", "cross"])
def test_value_and_gradient_are_those_of_the_written_out_form(case: str) -> None:
    query, key, value = states(queries=700 if case == "cross" else LENGTH)
    given = None
    if case.startswith("padding"):
        given = padding_mask(case.split()[1], LENGTH)
    elif case.startswith("dense"):
        given = dense_mask("left")
    mask = torch.ones(1, 1, query.shape[2], LENGTH, dtype=torch.bool) if given is None else given
    if case == "causal":
        mask = mask.tril()
    module = SimpleNamespace(is_causal=case == "causal")

    output, _ = plain_sdpa_forward(module, query, key, value, given)
    expected = written_out(query, key, value, mask)

    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-12)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = torch.autograd.grad(output, (query, key, value), upstream)
    references = torch.autograd.grad(expected, (query, key, value), upstream)
    for gradient, reference in zip(gradients, references):
        torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("is_causal", [False, True])
def test_training_with_dropout_never_holds_all_scores(is_causal: bool) -> None:
    query, key, value = states()
    module = SimpleNamespace(is_causal=is_causal)
    with LargestTensor() as largest:
        output, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, None, dropout=0.1, scaling=0.5)
        output.sum().backward()
    assert largest.elements < LENGTH * LENGTH / 2  # all scores are n²


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_backward_pass_drops_the_weights_that_the_forward_pass_dropped(is_causal: bool) -> None:
    query, key, value = states()
    module = SimpleNamespace(is_causal=is_causal)
    attention = ALL_ATTENTION_FUNCTIONS["sdpa"]
    output, _ = attention(module, query, key, value, None, dropout=0.5, scaling=0.5)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.manual_seed(2)  # other random numbers between the passes
    (output * upstream).sum().backward()
    # The output is linear in the values if the weights stay the same.
    torch.testing.assert_close((value.grad * value).sum(), (output * upstream).sum(), rtol=1e-9, atol=1e-9)
    again, _ = attention(module, query, key, value, None, dropout=0.5, scaling=0.5)
    assert not torch.equal(again, output)
