"""Fine-tuning: a trained backbone, a head for a task, and what Howard and Ruder 2018 do so that the backbone is not
spoiled."""

from __future__ import annotations

import importlib
from typing import Any

# Imported when they are asked for: a base model can be opened without what a run needs.
_FILES = {
    "FinetuneRecipe": ".recipes.finetuning_recipe",
    "FinetuneResult": "finetuning_run",
    "GradualUnfreezing": "unfreezing",
    "Prediction": "task",
    "Task": "task",
    "TrainableRecord": "unfreezing",
    "discriminative_groups": "parameter_groups",
    "freeze_backbone": "parameter_groups",
    "load_finetune_recipe": ".recipes.finetuning_recipe",
    "open_base_model": "base_model",
    "run_finetuning": "finetuning_run",
    "trainable_table": "unfreezing",
}

__all__ = list(_FILES)


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_FILES[name]}", __name__), name)
