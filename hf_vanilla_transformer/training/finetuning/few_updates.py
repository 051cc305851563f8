"""A hint for a fine-tuning that has few rows, and therefore few updates in the usual number of epochs."""

from __future__ import annotations

import math

from ...wording import counted
from ..recipes.finetuning_recipe import FinetuneTrainingRecipe
from ..trainer import planned_updates

# `benchmarks.transfer.published_encoder` compares 8, 16 and 70 updates on the same 100 rows; docs/transfer.md has the
# table.
FEW = 12
ENOUGH = 16


def few_updates(training: FinetuneTrainingRecipe, updates_per_epoch: int) -> str | None:
    """What to try if the epochs of the recipe give few updates; None if there are enough, or another limit ends them.

    Args:
        training: section of the recipe.
        updates_per_epoch: updates in one pass over the rows.
    """
    if training.num_train_epochs is None or training.max_steps is not None or training.max_minutes is not None:
        return None
    updates = planned_updates(training, updates_per_epoch)
    if updates >= FEW:
        return None
    epochs = math.ceil(ENOUGH / updates_per_epoch)
    return (
        f"{counted(updates, 'update')} in all {'is' if updates == 1 else 'are'} few for a new head and may leave it "
        f"half trained: try --training.num_train_epochs {epochs} ({counted(epochs * updates_per_epoch, 'update')})."
    )


__all__ = ["few_updates"]
