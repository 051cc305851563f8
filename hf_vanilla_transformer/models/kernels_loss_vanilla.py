"""Language-model loss in chunks of rows: the same numbers as `token_cross_entropy` of the logits, sooner.

The logits of a batch take rows × vocabulary numbers, often more than everything else. Here only the logits of one chunk
exist at a time, and no logits are computed where there is no label.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from torch.utils.checkpoint import checkpoint

from .kernels_linear_vanilla import by_onednn, takes_onednn, weight_gradient_by_onednn
from .losses_vanilla import IGNORED_LABEL, class_numbers, denominator, token_cross_entropy
from .plain_values_vanilla import has_plain_values

# Elements of the workspace for logits: 16 M floats are 64 MB.
# Matrix products of fewer rows are slower, and those of more rows are not faster (`python -m benchmarks.loss`).
_WORKSPACE_ELEMENTS = 1 << 24

# Below 4 MB of logits, computing them all is faster than selecting rows and chunking.
_FEW_LOGITS = 1 << 20

# Parts of a batch in compiled models. A fixed number, so that every length has the same graph.
_COMPILED_CHUNKS = 8


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum over rows of the cross-entropy of `hidden @ weight.T + bias`.

    The backward pass needs the softmax of each row and would have to compute the logits again. So the forward pass
    computes the gradients chunk by chunk, and the backward pass only scales them. Only a caller that needs the gradient
    of the gradient pays for all logits at once.
    """

    @staticmethod
    def forward(
        context: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        label_smoothing: float,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        inputs = (hidden, weight, bias, labels)
        context.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        context.label_smoothing, context.dtype = label_smoothing, dtype
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
        rows, vocab_size = hidden.shape[0], weight.shape[0]
        # Softmaxes and sums over thousands of rows need at least float32. The matrix products keep their type.
        exact = torch.promote_types(hidden.dtype, torch.float32)
        needs_hidden, needs_weight, needs_bias = context.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=exact) if needs_weight else None
        grad_bias = torch.zeros_like(bias, dtype=exact) if bias is not None and needs_bias else None

        loss = torch.zeros((), dtype=exact, device=hidden.device)
        # Chunks of equal size, because a matrix product of a few remaining rows would be slow.
        chunks = max(1, math.ceil(rows * vocab_size / _WORKSPACE_ELEMENTS))
        chunk = max(1, math.ceil(rows / chunks))
        onednn = takes_onednn(hidden, weight, chunk * weight.numel())
        workspace = None if onednn else torch.empty(chunk, vocab_size, dtype=hidden.dtype, device=hidden.device)
        for start in range(0, rows, chunk):
            states, targets = hidden[start : start + chunk], labels[start : start + chunk, None]
            if onednn:
                logits = by_onednn(states, weight, bias)
            else:
                logits = torch.mm(states, weight.T, out=workspace[: len(states)])
                if bias is not None:
                    logits += bias
            label_logits = logits.gather(1, targets)
            # One softmax gives the gradient. The loss needs its denominator, which any entry determines whose
            # probability does not underflow: nearly always that of the label, and always the largest. On CPU the check
            # costs less than a second pass; on other devices it would wait for the device.
            probabilities = torch.softmax(logits, dim=-1, dtype=exact)
            known, share = label_logits, probabilities.gather(1, targets)
            if hidden.device.type != "cpu" or bool((share < torch.finfo(exact).tiny).any()):
                known, share = logits.amax(-1, keepdim=True), probabilities.amax(-1, keepdim=True)
            log_denominator = known.to(exact) - share.log()
            loss += (log_denominator - (1.0 - label_smoothing) * label_logits).sum()

            # d loss / d logits = softmax - target distribution, here without the part that smoothing spreads evenly.
            probabilities.scatter_add_(1, targets, probabilities.new_full(targets.shape, label_smoothing - 1.0))
            if grad_bias is not None:
                grad_bias += probabilities.sum(0)
            grad_logits = probabilities.to(hidden.dtype)
            if grad_hidden is not None:
                if onednn:
                    grad_hidden[start : start + chunk] = by_onednn(grad_logits, weight.T)
                else:
                    torch.mm(grad_logits, weight, out=grad_hidden[start : start + chunk])
            if grad_weight is not None:
                if onednn:
                    grad_weight += weight_gradient_by_onednn(grad_logits, states)
                elif grad_weight.dtype == hidden.dtype:
                    grad_weight.addmm_(grad_logits.T, states)
                else:
                    grad_weight += grad_logits.T @ states

        if label_smoothing:
            # The evenly spread part is the same for every row and entry, so it needs only means, not the logits.
            mean_weight, sum_hidden = weight.to(exact).mean(0), hidden.sum(0, dtype=exact)
            loss -= label_smoothing * (sum_hidden @ mean_weight)
            if bias is not None:
                loss -= label_smoothing * rows * bias.to(exact).mean()
            if grad_hidden is not None:
                grad_hidden -= (label_smoothing * mean_weight).to(hidden.dtype)
            if grad_weight is not None:
                grad_weight -= label_smoothing / vocab_size * sum_hidden
            if grad_bias is not None:
                grad_bias -= label_smoothing / vocab_size * rows

        context.save_for_backward(*inputs, grad_hidden, grad_weight, grad_bias)
        return loss

    @staticmethod
    def backward(context: Any, grad_loss: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():  # the caller needs the gradient of the gradient
            gradients = _gradients_with_graph(context, grad_loss)
        else:
            gradients = [
                None if gradient is None else (gradient * grad_loss).to(dtype)
                for gradient, dtype in zip(context.saved_tensors[4:], context.dtypes)
            ]
        return (*gradients, None, None, None)


def _gradients_with_graph(context: Any, grad_loss: torch.Tensor) -> list[torch.Tensor | None]:
    """The gradients of `_LinearCrossEntropy` as functions of its inputs, by the plain formula."""
    # Views, because the states may depend on a tied weight: the gradient is that of each input with the others fixed.
    hidden, weight, bias = (None if one is None else one.view_as(one) for one in context.saved_tensors[:3])
    labels = context.saved_tensors[3]
    dtype = context.dtype
    logits = nn.functional.linear(hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
    loss = nn.functional.cross_entropy(
        logits.to(torch.promote_types(dtype, torch.float32)),
        labels,
        reduction="sum",
        label_smoothing=context.label_smoothing,
    )
    needed = context.needs_input_grad[:3]
    inputs = [tensor for tensor, needs in zip((hidden, weight, bias), needed) if needs]
    gradients = iter(torch.autograd.grad(loss, inputs, grad_loss, create_graph=True))
    return [next(gradients) if needs else None for needs in needed]


def chunking_is_faster(head: nn.Module, hidden_states: torch.Tensor, labels: torch.Tensor) -> bool:
    """Whether the loss should use `linear_cross_entropy` on the weight of `head` instead of calling the module.

    False for few logits. Also false where calling the module does more than the product (adapters, hooks, offloading,
    sharded weights), and in compilers and function transforms, which cannot know how many labels there will be.

    Args:
        head: the map to the vocabulary.
        hidden_states: (batch, length, hidden).
        labels: (batch, length).
    """
    return (
        type(head) is nn.Linear
        and type(head.weight) is nn.Parameter
        and head.weight.device == hidden_states.device
        and not _call_does_more(head)
        and has_plain_values(hidden_states)
        and labels.numel() * head.weight.shape[0] > _FEW_LOGITS
    )


def divided_head_needs_chunks(head: nn.Module, hidden_states: torch.Tensor, labels: torch.Tensor) -> bool:
    """Whether the loss should use `recomputed_cross_entropy`, because `head` is divided among processes.

    Each call of such a module gathers its logits, so a call for the whole batch would put all of them into the memory
    of every process. The arguments are those of `chunking_is_faster`.
    """
    return (
        hasattr(head.weight, "device_mesh")
        and has_plain_values(hidden_states)
        and labels.numel() * head.weight.shape[0] > _FEW_LOGITS
    )


def _call_does_more(head: nn.Module) -> bool:
    """Whether a hook watches calls of the module (or of every module), or its `forward` was replaced."""
    return bool(
        head._forward_hooks
        or head._forward_pre_hooks
        or head._backward_hooks
        or head._backward_pre_hooks
        or torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
        or "forward" in vars(head)
        or hasattr(head, "_hf_hook")
    )


def labelled_rows(hidden_states: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The hidden states with a label, (rows, hidden), and their labels, (rows,).

    Args:
        hidden_states: (batch, length, hidden).
        labels: (batch, length); -100 is ignored.
    """
    # By index: selection by a boolean mask and its gradient take up to twice as long.
    labelled = (labels != IGNORED_LABEL).flatten().nonzero()[:, 0]
    return hidden_states.flatten(0, -2).index_select(0, labelled), class_numbers(labels.flatten()[labelled])


def linear_cross_entropy(
    hidden_states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy of a linear map to the vocabulary, in chunks of rows; the logits of all rows never exist together.

    Args:
        hidden_states: (rows, hidden), one row per label, as `labelled_rows` selects them.
        weight: (vocabulary, hidden).
        bias: (vocabulary,) or None.
        labels: (rows,).
        num_items_in_batch: divisor of the sum; None for the number of rows.
        label_smoothing: ε of section 5.4, as in `token_cross_entropy`.

    Returns:
        A scalar in float32, or in float64 for float64 inputs.
    """
    dtype = hidden_states.dtype
    if torch.is_autocast_enabled(hidden_states.device.type):
        dtype = torch.get_autocast_dtype(hidden_states.device.type)
    total = _LinearCrossEntropy.apply(hidden_states, weight, bias, labels, float(label_smoothing), dtype)
    return total / denominator(num_items_in_batch, labels.numel(), total.device)


def compiler_needs_chunks(labels: torch.Tensor, vocab_size: int) -> bool:
    """Whether a model is being compiled and its logits are many; then `recomputed_cross_entropy` saves memory."""
    return torch.compiler.is_compiling() and labels.numel() * vocab_size > _FEW_LOGITS


def recomputed_cross_entropy(
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    hidden_states: torch.Tensor,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """`token_cross_entropy` in parts of the batch: the backward pass computes the logits again.

    It is for compilers and for heads that are divided among processes. A compiler can follow it, unlike
    `linear_cross_entropy`, whose work depends on the number of labels. It takes a third more operations for the logits
    than computing them all at once (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").

    Args:
        logits_of: the head, (rows, hidden) to (rows, vocabulary).
        hidden_states: (batch, length, hidden).
        labels: (batch, length); -100 is ignored.
        num_items_in_batch: divisor of the sum; None for the number of labels.
        label_smoothing: ε of section 5.4.

    Returns:
        A scalar in float32, or in float64 for float64 inputs.
    """

    def total(states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return token_cross_entropy(logits_of(states), targets, 1, label_smoothing)

    rows, targets = hidden_states.flatten(0, -2), labels.flatten()
    parts = zip(rows.tensor_split(_COMPILED_CHUNKS), targets.tensor_split(_COMPILED_CHUNKS))
    loss = sum(checkpoint(total, *part, use_reentrant=False) for part in parts)
    return loss / denominator(num_items_in_batch, (targets != IGNORED_LABEL).sum(), loss.device)


__all__ = [
    "chunking_is_faster",
    "compiler_needs_chunks",
    "divided_head_needs_chunks",
    "labelled_rows",
    "linear_cross_entropy",
    "recomputed_cross_entropy",
]
