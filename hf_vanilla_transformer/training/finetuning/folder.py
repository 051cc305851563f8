"""The output folder of a fine-tuning: what may be in it before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..averaging import checkpoints
from ..folder import RECIPE_FILE, RESULTS_FILE
from ..recipes.finetuning_recipe import FinetuneRecipe

PREDICTIONS_FILE = "predictions_{split}.jsonl"
TRAINABLE_FILE = "trainable.json"

# What neither the weights nor the rows depend on; a resumed run may differ in it.
_FREE = ("output", "comparison", "description")


def check_new(folder: Path) -> None:
    """Raises ValueError, before any work, unless `folder` is new or empty."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file; choose another with --output.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if checkpoints(folder) and (folder / RECIPE_FILE).is_file():
        raise ValueError(
            f"The output folder {folder} holds an interrupted run, up to {checkpoints(folder)[-1].name}. Go on with "
            f"it: hf-vanilla finetune --resume {folder}. Or choose another folder with --output."
        )
    names = sorted(path.name for path in folder.iterdir())
    raise ValueError(
        f"The output folder {folder} holds something already ({', '.join(names[:5])}"
        f"{', ...' if len(names) > 5 else ''}), which a run would mix with its own files; choose another with --output."
    )


def check_resumable(folder: Path, recipe: FinetuneRecipe) -> Path:
    """The checkpoint from which a fine-tuning goes on.

    Raises:
        FileNotFoundError: there is no run, or it has no checkpoint.
        ValueError: the run is complete, or the recipe is not the one it began with.
    """
    if not (folder / RECIPE_FILE).is_file():
        raise FileNotFoundError(f"There is no run to resume in {folder}: it has no {RECIPE_FILE}.")
    if (folder / RESULTS_FILE).is_file():
        raise ValueError(f"The run in {folder} is complete (it has a {RESULTS_FILE}); there is nothing to resume.")
    found = checkpoints(folder)
    if not found:
        raise FileNotFoundError(f"The run in {folder} was interrupted before its first checkpoint; start it anew.")
    before = yaml.safe_load((folder / RECIPE_FILE).read_text(encoding="utf-8"))
    changed = _differences(before, recipe.to_dict())
    if changed:
        raise ValueError(
            f"The run in {folder} began with another recipe and cannot go on with this one: {'; '.join(changed[:3])}"
            f"{'; ...' if len(changed) > 3 else ''}. Leave it as it was, or start a new run."
        )
    return found[-1]


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in now.items():
        if not prefix and name in _FREE:
            continue
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict) and value and old:
            found += _differences(old, value, f"{prefix}{name}.")
        elif value != old:
            found.append(f"{prefix}{name} was {old!r} and is {value!r}")
    return found
