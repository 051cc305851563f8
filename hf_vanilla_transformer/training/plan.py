"""What the plans of all commands share: their table, the end of the training, and the memory it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from .batches import NumberedBatch, Rows, SeededCollator
from .memory import estimate_memory
from .streaming import StreamedRows
from .trainer import UNLIMITED_STEPS

Line = tuple[str, str]
# Rows of a stream that are read to see how long its rows are.
_SAMPLED_ROWS = 100


def plan_table(lines: Iterable[Line]) -> str:
    """The lines of a plan, names in one column."""
    return "\n".join(f"{name:14} {value}" for name, value in lines)


def end_line(training: Any, updates: int, updates_per_epoch: int) -> Line:
    """When the training ends at the latest.

    Args:
        training: section `training` of the recipe.
        updates: planned updates.
        updates_per_epoch: updates in one pass over the rows.
    """
    if updates == UNLIMITED_STEPS:
        return ("end", f"after {training.max_minutes:g} minutes of training")
    return ("end", f"after {updates:,} updates, {updates / max(updates_per_epoch, 1):.1f} epochs, or earlier")


def output_line(recipe: Any) -> Line:
    """Where the result goes."""
    return ("output", recipe.output.output_dir or "not set (--output FOLDER)")


def memory_line(
    recipe: Any,
    model: torch.nn.Module,
    batch_of: Callable[[int], Mapping[str, torch.Tensor]],
    rows: int,
    copies: int = 0,
) -> Line:
    """The memory that training takes on one process; see `estimate_memory`.

    Args:
        recipe: decides precision, averages and gradient checkpointing.
        model: with the weights frozen that are not trained.
        batch_of: makes a batch of so many rows of the greatest length.
        rows: rows of this length in a batch.
        copies: copies of the weights beside those of averages.
    """
    training = recipe.training
    copies += {"none": 0, "ema": 1, "last": training.average_last}[training.average]
    if training.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return ("memory", str(estimate_memory(model, batch_of, rows, precision=training.precision, copies=copies)))


def token_memory_line(
    recipe: Any,
    model: PreTrainedModel,
    rows: Rows | StreamedRows,
    collator: Callable[[list], dict[str, torch.Tensor]],
    copies: int = 0,
) -> Line:
    """As `memory_line`, for batches filled by tokens: as many copies of the longest row as fit into a batch."""
    longest = _longest_row(rows)
    collate = SeededCollator(collator, recipe.training.seed)

    def batch_of(count: int) -> Mapping[str, torch.Tensor]:
        return collate(NumberedBatch([longest] * count))

    length = max(len(ids) for ids in longest.values())
    return memory_line(recipe, model, batch_of, max(1, recipe.training.tokens_per_batch // length), copies)


def _longest_row(rows: Rows | StreamedRows) -> dict[str, Any]:
    if isinstance(rows, Rows):
        return rows[int(rows.lengths().max(axis=1).argmax())]
    # Rows straight from the sources: the plan need not wait until the shuffle buffer is full.
    sample: list[np.ndarray] = [next(rows.mixture) for _ in range(_SAMPLED_ROWS)]
    return {"input_ids": max(sample, key=len)}
