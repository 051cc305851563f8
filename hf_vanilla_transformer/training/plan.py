"""Parts of the plans of all commands: the table, the end of the training, its memory and its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ..wording import counted
from .batches import NumberedBatch, Rows, SeededCollator
from .memory import MemoryEstimate, estimate_memory
from .recipes.sections import short_average
from .streaming import StreamedRows
from .trainer import UNLIMITED_STEPS

Line = tuple[str, str]
# Number of rows of a stream that are read to measure its row lengths.
_SAMPLED_ROWS = 100


def plan_table(lines: Iterable[Line]) -> str:
    """The lines of a plan, names in one column."""
    return "\n".join(f"{name:14} {value}" for name, value in lines)


def end_line(training: Any, updates: int, updates_per_epoch: int) -> Line:
    """The latest end of the training.

    Args:
        training: section `training` of the recipe.
        updates: planned updates.
        updates_per_epoch: updates in one pass over the rows.
    """
    if updates == UNLIMITED_STEPS:
        return ("end", f"after {training.max_minutes:g} minutes of training")
    return ("end", f"after {counted(updates, 'update')}, {updates / max(updates_per_epoch, 1):.1f} epochs, or earlier")


def output_line(recipe: Any) -> Line:
    """The output folder, and what is averaged in a run that is too short for all checkpoints of its average."""
    folder = recipe.output.output_dir or "not set (--output FOLDER)"
    note = short_average(recipe.training, recipe.checkpoint)
    return ("output", f"{folder}; {note}" if note else folder)


def training_memory(
    recipe: Any,
    model: torch.nn.Module,
    batch_of: Callable[[int], Mapping[str, torch.Tensor]],
    rows: int,
    copies: int = 0,
) -> MemoryEstimate:
    """The memory that training needs on one process; see `estimate_memory`.

    Args:
        recipe: decides precision, averages and gradient checkpointing.
        model: with untrained weights frozen.
        batch_of: returns a batch of the given number of rows of the greatest length.
        rows: rows of this length in a batch.
        copies: copies of the weights in addition to those of averages.
    """
    training = recipe.training
    copies += {"none": 0, "ema": 1, "last": training.average_last}[training.average]
    if training.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return estimate_memory(model, batch_of, rows, precision=training.precision, copies=copies)


def memory_line(estimate: MemoryEstimate) -> Line:
    """The memory as a line of a plan."""
    return ("memory", str(estimate))


def token_memory(
    recipe: Any,
    model: PreTrainedModel,
    rows: Rows | StreamedRows,
    collator: Callable[[list], dict[str, torch.Tensor]],
    copies: int = 0,
) -> MemoryEstimate:
    """`training_memory` for batches filled by tokens, with as many copies of the longest row as fit into a batch."""
    longest = _longest_row(rows)
    collate = SeededCollator(collator, recipe.training.seed)

    def batch_of(count: int) -> Mapping[str, torch.Tensor]:
        return collate(NumberedBatch([longest] * count))

    length = max(len(ids) for ids in longest.values())
    return training_memory(recipe, model, batch_of, max(1, recipe.training.tokens_per_batch // length), copies)


def _longest_row(rows: Rows | StreamedRows) -> dict[str, Any]:
    if isinstance(rows, Rows):
        return rows[int(rows.lengths().max(axis=1).argmax())]
    # Reads from the sources directly: filling the shuffle buffer would take long.
    sample: list[np.ndarray] = [next(rows.mixture) for _ in range(_SAMPLED_ROWS)]
    return {"input_ids": max(sample, key=len)}
