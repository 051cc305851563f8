"""Which command a recipe is for, from the sections that only its recipes have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["check_kind", "command_of"]

_FINETUNING = frozenset({"base_model", "from_scratch", "text_length", "head", "backbone", "rates", "unfreezing"})
_TRAINING = frozenset({"model", "tokenizer", "objective", "generation", "adaptation"})


def command_of(recipe: Mapping[str, Any]) -> str:
    """The command that runs a recipe: `finetune`, `adapt`, or `train`, which also continues what `pretrain` began.

    Args:
        recipe: the recipe as nested dictionaries.
    """
    if not recipe.keys() & _TRAINING and recipe.keys() & _FINETUNING:
        return "finetune"
    adaptation = recipe.get("adaptation")
    adapts = isinstance(adaptation, Mapping) and adaptation.get("base_model") is not None
    return "adapt" if adapts else "train"


def check_kind(recipe: Mapping[str, Any], kind: type, name: str) -> None:
    """Raises ValueError if a recipe has sections of the other kind of recipe only.

    Args:
        recipe: the recipe as nested dictionaries.
        kind: the dataclass that is to be made of it.
        name: of its file, for the message.
    """
    own = {entry.name for entry in dataclasses.fields(kind)}
    foreign = sorted((recipe.keys() & (_FINETUNING | _TRAINING)) - own)
    if foreign and not recipe.keys() & own & (_FINETUNING | _TRAINING):
        command = command_of(recipe)
        raise ValueError(
            f"{name} is a recipe of hf-vanilla {command} (it has {', '.join(foreign[:3])}), not of this command: use "
            f"hf-vanilla {command}, or another recipe."
        )
