"""Losses of tokens, of sequences and of answer spans.

Every loss takes `num_items_in_batch`. A trainer that splits a batch into micro-batches passes the number of labels of
the entire batch. The sum of the losses is then the loss of the entire batch.
"""

from __future__ import annotations

import torch
from torch import nn

IGNORED_LABEL = -100


def token_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy with label smoothing (section 5.4).

    Args:
        logits: (..., classes).
        labels: (...); -100 is ignored.
        num_items_in_batch: divisor of the sum; None for the number of labels.
        label_smoothing: ε: the target distribution is 1 - ε on the label plus ε spread evenly over the classes.

    Returns:
        A scalar in float32, or in float64 for float64 logits.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        class_numbers(labels.reshape(-1)).to(logits.device),
        ignore_index=IGNORED_LABEL,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return total / denominator(num_items_in_batch, (labels != IGNORED_LABEL).sum(), total.device)


def sequence_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    problem_type: str | None,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """The loss of one label per sequence: a number, one of several classes, or any of several classes.

    Args:
        logits: (batch, labels).
        labels: (batch,) class numbers; (batch,) or (batch, labels) numbers to regress; (batch, labels) 0.0 or 1.0.
        problem_type: `regression`, `single_label_classification`, `multi_label_classification`. None infers it: one
            output is regression, integer labels are classes, other labels are multi-label (booleans with one per
            class too).
        num_items_in_batch: divisor of the sum; None for the number of labels.

    Returns:
        A scalar in float32, or in float64 for float64 logits.

    Raises:
        ValueError: the number of labels does not fit the logits and the problem type.
    """
    if problem_type is None:
        if logits.shape[-1] == 1:
            problem_type = "regression"
        elif labels.dtype == torch.bool and labels.shape == logits.shape:
            problem_type = "multi_label_classification"
        elif not labels.is_floating_point():
            problem_type = "single_label_classification"
        else:
            problem_type = "multi_label_classification"
    if problem_type == "single_label_classification":
        if labels.numel() != logits.shape[0]:
            raise ValueError(
                f"labels has the shape {tuple(labels.shape)}, but there are {logits.shape[0]} sequences with one class "
                'each; for several classes per sequence, set config.problem_type="multi_label_classification".'
            )
        return token_cross_entropy(logits, labels.reshape(-1), num_items_in_batch)
    # Targets such as years or prices are too large for 16-bit types.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = labels.to(logits.device, logits.dtype)
    if labels.numel() != logits.numel():
        raise ValueError(
            f"labels has the shape {tuple(labels.shape)}, but the logits have {tuple(logits.shape)}; "
            f"problem_type={problem_type!r} needs one number per logit. Set config.num_labels or config.problem_type; "
            "the number of a class is an integer: labels.long()."
        )
    labels = labels.reshape(logits.shape)
    if problem_type == "regression":
        total = nn.functional.mse_loss(logits, labels, reduction="sum")
    else:
        total = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return total / denominator(num_items_in_batch, labels.numel(), total.device)


def span_loss(
    start_logits: torch.Tensor,
    end_logits: torch.Tensor,
    start_positions: torch.Tensor,
    end_positions: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """The loss of an extracted answer: the mean of the cross-entropies of its first and last token.

    Args:
        start_logits: (batch, length).
        end_logits: (batch, length).
        start_positions: (batch,); positions outside the sequence are ignored.
        end_positions: (batch,); likewise.
        num_items_in_batch: divisor of each sum; None for the number of answers inside the sequence.
    """

    def one_end(logits: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        positions = positions.reshape(-1).to(logits.device)
        inside = (positions >= 0) & (positions < logits.shape[-1])
        return token_cross_entropy(logits, torch.where(inside, positions, IGNORED_LABEL), num_items_in_batch)

    return (one_end(start_logits, start_positions) + one_end(end_logits, end_positions)) / 2


def class_numbers(labels: torch.Tensor) -> torch.Tensor:
    """Labels of any integer type or bool as the int64 that the kernels of torch need; the same shape.

    Raises:
        ValueError: the labels are no integers.
    """
    if labels.is_floating_point():
        raise ValueError(f"The labels have the type {labels.dtype}, but classes are integers; pass labels.long().")
    return labels.long()


def denominator(
    num_items_in_batch: torch.Tensor | int | None, count: torch.Tensor | int, device: torch.device
) -> torch.Tensor | int:
    """The divisor of a sum of losses: `num_items_in_batch`, or `count` where it is None."""
    if num_items_in_batch is None:
        return count
    return num_items_in_batch.to(device) if isinstance(num_items_in_batch, torch.Tensor) else num_items_in_batch


__all__ = ["IGNORED_LABEL", "class_numbers", "denominator", "sequence_loss", "span_loss", "token_cross_entropy"]
