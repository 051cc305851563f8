"""Losses. The language-model loss goes from hidden states to a number without ever holding the logits of a batch.

Every loss takes `num_items_in_batch`: where a trainer splits a batch into micro-batches it passes the number of labels
of the whole batch, and the sum of the losses is then the loss of the whole batch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from .linear_vanilla import by_onednn, takes_onednn, weight_gradient_by_onednn

IGNORED_LABEL = -100

# Elements of the workspace for logits: 16 M floats are 64 MB.
# Matrix products of fewer rows are slower, those of more rows are not faster (`python -m benchmarks.loss`).
_WORKSPACE_ELEMENTS = 1 << 24

# So few logits (4 MB of floats: those of an alphabet) are simply made: they are sooner there than chosen and chunked.
_FEW_LOGITS = 1 << 20


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum over rows of the cross-entropy of `hidden @ weight.T + bias`, with the gradients made on the way.

    The softmax of a row is at hand only while its logits are, so the backward pass would have to compute the logits
    again. Instead the gradients are computed chunk by chunk in the forward pass and scaled in the backward pass.
    """

    @staticmethod
    def forward(
        context: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        label_smoothing: float,
    ) -> torch.Tensor:
        rows, vocab_size = hidden.shape[0], weight.shape[0]
        # Sums over thousands of rows and softmaxes need float32 at least; the matrix products keep their type.
        exact = torch.promote_types(hidden.dtype, torch.float32)
        needs_hidden, needs_weight, needs_bias = context.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=exact) if needs_weight else None
        grad_bias = torch.zeros_like(bias, dtype=exact) if bias is not None and needs_bias else None

        loss = torch.zeros((), dtype=exact, device=hidden.device)
        # Chunks of equal size: matrix products of a few rows that are left over would be slow.
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
            # One pass of softmax gives the gradient; the loss needs its denominator, which any entry tells whose
            # probability is large enough: that of the label, nearly always, and surely the largest. To look costs less
            # than another pass on CPU, where nobody has to wait for the answer.
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
            # The even part is the same for every row and entry, so it meets the means instead of all the logits.
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

        saved = (grad_hidden, grad_weight, grad_bias)
        context.save_for_backward(*(grad for grad in saved if grad is not None))
        context.has_gradient = [grad is not None for grad in saved]
        context.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, grad_loss: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = iter(context.saved_tensors)
        gradients = [
            (next(saved) * grad_loss).to(dtype) if present else None
            for present, dtype in zip(context.has_gradient, context.dtypes)
        ]
        return (*gradients, None, None)


def logits_are_few(labels: torch.Tensor, vocab_size: int) -> bool:
    """Whether the logits of all positions, labelled or not, are sooner made than `linear_cross_entropy` avoids them."""
    return labels.numel() * vocab_size <= _FEW_LOGITS


def linear_cross_entropy(
    hidden_states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy of a linear map to the vocabulary, in chunks of rows: the whole logits never exist.

    Args:
        hidden_states: (rows, hidden), one row a label. Rows without a label should be left out before.
        weight: (vocabulary, hidden).
        bias: (vocabulary,) or None.
        labels: (rows,).
        num_items_in_batch: what the sum is divided by; None for the number of rows.
        label_smoothing: ε of section 5.4: the target is 1 - ε on the label plus ε spread over the vocabulary.

    Returns:
        A scalar in float32, or in float64 for float64 inputs.
    """
    if torch.is_autocast_enabled(hidden_states.device.type):
        dtype = torch.get_autocast_dtype(hidden_states.device.type)
        hidden_states, weight = hidden_states.to(dtype), weight.to(dtype)
    bias = None if bias is None else bias.to(weight.dtype)
    total = _LinearCrossEntropy.apply(hidden_states, weight, bias, labels, float(label_smoothing))
    return total / _denominator(num_items_in_batch, labels.numel(), total.device)


def token_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy of logits that exist already.

    Args:
        logits: (..., classes).
        labels: (...), where -100 is not counted.
        num_items_in_batch: what the sum is divided by; None for the number of labels.
        label_smoothing: ε of section 5.4.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        labels.reshape(-1).to(logits.device),
        ignore_index=IGNORED_LABEL,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return total / _denominator(num_items_in_batch, (labels != IGNORED_LABEL).sum(), total.device)


def sequence_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    problem_type: str | None,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """The loss of a label per sequence: regression, one of several classes, or any of several classes.

    Args:
        logits: (batch, labels).
        labels: (batch,) class numbers; (batch,) or (batch, labels) numbers to regress; (batch, labels) 0.0 or 1.0.
        problem_type: `regression`, `single_label_classification`, `multi_label_classification`; None to go by the
            labels: one output is regression, integers are classes, anything else is multi-label.
        num_items_in_batch: what the sum is divided by; None for the number of labels.
    """
    if problem_type is None:
        if logits.shape[-1] == 1:
            problem_type = "regression"
        elif not labels.is_floating_point():
            problem_type = "single_label_classification"
        else:
            problem_type = "multi_label_classification"
    if problem_type == "single_label_classification":
        return token_cross_entropy(logits, labels.reshape(-1), num_items_in_batch)
    labels = labels.to(logits.device, logits.dtype).reshape(logits.shape)
    if problem_type == "regression":
        total = nn.functional.mse_loss(logits, labels, reduction="sum")
    else:
        total = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return total / _denominator(num_items_in_batch, labels.numel(), total.device)


def span_loss(
    start_logits: torch.Tensor,
    end_logits: torch.Tensor,
    start_positions: torch.Tensor,
    end_positions: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """The loss of an extracted answer: the mean of the cross-entropies of its first and its last token.

    Args:
        start_logits: (batch, length).
        end_logits: (batch, length).
        start_positions: (batch,); positions outside the sequence are not counted.
        end_positions: (batch,); likewise.
        num_items_in_batch: what each sum is divided by; None for the number of answers inside.
    """

    def one_end(logits: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        positions = positions.reshape(-1).to(logits.device)
        inside = (positions >= 0) & (positions < logits.shape[-1])
        return token_cross_entropy(logits, torch.where(inside, positions, IGNORED_LABEL), num_items_in_batch)

    return (one_end(start_logits, start_positions) + one_end(end_logits, end_positions)) / 2


def _denominator(
    num_items_in_batch: torch.Tensor | int | None, count: torch.Tensor | int, device: torch.device
) -> torch.Tensor | int:
    if num_items_in_batch is None:
        return count
    return num_items_in_batch.to(device) if isinstance(num_items_in_batch, torch.Tensor) else num_items_in_batch
