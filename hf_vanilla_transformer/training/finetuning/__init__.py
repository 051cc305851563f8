"""Fine-tuning: trains a base model's backbone with a head for a task, by the methods of Howard and Ruder 2018."""

from __future__ import annotations

import importlib
from typing import Any

# Imported on first use: opening a base model does not need the dependencies of a run.
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
