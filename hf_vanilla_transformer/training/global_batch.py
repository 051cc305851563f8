"""The global batch of a run: it stays the same when the number of processes changes."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

from ..wording import counted
from .checkpoints import fact_of

logger = logging.getLogger(__name__)


def batches_per_update(checkpoint: Path) -> int | None:
    """The batches of all processes in one update of the run that wrote a checkpoint; None if it does not say it."""
    return fact_of(checkpoint, "batches_per_update")


def keep_global_batch(recipe: Any, checkpoint: Path, processes: int) -> Any:
    """The recipe with as many accumulated batches as keep the batch of a checkpoint on this number of processes.

    The order of the rows, their masks and the steps of the schedule count batches of all processes. With the same
    number per update, a checkpoint of n processes continues on m as if nothing had changed, dropout aside: each process
    draws it from its own generator.

    Args:
        recipe: of the resumed run; it is not changed.
        checkpoint: from which the run is resumed.
        processes: that train on different batches now.

    Raises:
        ValueError: no number of accumulated batches keeps the batch.
    """
    then, accumulation = batches_per_update(checkpoint), recipe.training.gradient_accumulation_steps
    if then is None or then == processes * accumulation:
        return recipe
    if then % processes:
        possible = [number for number in range(1, then + 1) if then % number == 0]
        raise ValueError(
            f"{checkpoint} was written with {counted(then, 'batch', 'batches')} per update (processes times "
            f"training.gradient_accumulation_steps), which {processes} processes cannot share equally: {then} / "
            f"{processes} = {then / processes:.2f}. Resume on {', '.join(map(str, possible))} processes."
        )
    recipe = copy.deepcopy(recipe)
    recipe.training.gradient_accumulation_steps = then // processes
    logger.warning(
        "The checkpoint has %d batches per update: each of %d processes accumulates %d, instead of "
        "training.gradient_accumulation_steps=%d.",
        then, processes, then // processes, accumulation,
    )  # fmt: skip
    return recipe


__all__ = ["batches_per_update", "keep_global_batch"]
