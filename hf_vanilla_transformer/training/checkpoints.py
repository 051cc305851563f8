"""Checkpoints of a run: lists, checks, removes and averages them.

A run saves ``checkpoints/checkpoint-N`` after update N, and ``checkpoints/best-N`` with the weights that had the best
validation score. The newest is the one with the highest number, whatever the dates of the files.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from ..files import folder_aside, remove_folder
from ..wording import counted
from .checkpoint_names import checkpoints, update_of
from .checksums import CHECKSUMS_FILE, damaged_file

logger = logging.getLogger(__name__)

# State of a run that transformers' Trainer does not save.
RUN_STATE = "run_state.pt"

# PEFT's name for the weights of adapters.
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Files of a checkpoint that only a resumed training needs.
_TRAINING_FILES = {
    SAFE_WEIGHTS_INDEX_NAME,
    OPTIMIZER_NAME,
    SCHEDULER_NAME,
    "rng_state.pth",
    "scaler.pt",
    TRAINER_STATE_NAME,
    "training_args.bin",
    RUN_STATE,
    CHECKSUMS_FILE,
}


def best_folder(folder: Path, update: int) -> Path:
    """The folder of the best weights, if update `update` has the best validation score.

    Args:
        folder: the folder of the checkpoints.
    """
    return folder / f"best-{update}"


def newest_resumable(folder: Path) -> Path | None:
    """The newest checkpoint of the run in `folder` that is complete; None if the run has no checkpoint.

    The log reports newer checkpoints that are damaged.

    Raises:
        FileNotFoundError: no checkpoint can be resumed; the message names what the newest one lacks.
    """
    found = checkpoints(folder)
    for checkpoint in reversed(found):
        damage = _damage(checkpoint)
        if damage is None:
            return checkpoint
        logger.warning("%s cannot be resumed: %s.", checkpoint, damage)
    if not found:
        return None
    damage = _damage(found[-1])
    why = " (checkpoint.save_only_model=true saves no optimizer state)" if "has no" in damage else ""
    raise FileNotFoundError(
        f"{found[-1]} cannot be resumed: {damage}{why}. Its weights can start a new run: --model.start_from "
        f"{found[-1]}."
    )


def fact_of(checkpoint: Path, name: str) -> Any:
    """An entry of the state of the run in a checkpoint; None if it was saved by an older version."""
    # Mapped into memory, because the averages of weights beside the entry are large.
    return torch.load(checkpoint / RUN_STATE, weights_only=True, map_location="cpu", mmap=True).get(name)


def recipe_of(checkpoint: Path) -> dict[str, Any] | None:
    """The recipe with which a checkpoint was trained; None if it was saved by an older version."""
    return fact_of(checkpoint, "recipe")


def _damage(checkpoint: Path) -> str | None:
    """The first missing or damaged file that a resume needs, in words; None if the checkpoint is complete."""
    names = {path.name for path in checkpoint.iterdir()}
    needed = [OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME, RUN_STATE]
    for name in needed:
        if name not in names:
            return f"it has no {name}"
    if not any(name.startswith("rng_state") for name in names):
        return "it has no rng_state.pth"
    weights = names & {SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, _ADAPTER_WEIGHTS}
    if not weights:
        return f"it has no {SAFE_WEIGHTS_NAME}"
    if (damage := damaged_file(checkpoint, needed=[*needed, *weights])) is not None:
        return damage
    if CHECKSUMS_FILE not in names and (damage := _damaged_format(checkpoint)) is not None:
        return damage
    recipe, best = recipe_of(checkpoint), best_update_of(checkpoint)
    if recipe is not None and recipe["evaluation"]["load_best_model_at_end"] and best is not None:
        # The run may end with these weights.
        folder = best_folder(checkpoint.parent, best)
        damage = damaged_file(folder) if folder.is_dir() else "there is no such folder"
        return None if damage is None else f"it needs the best weights in {folder.name}, but {damage}"
    return None


def _damaged_format(checkpoint: Path) -> str | None:
    """The first file that is no valid file of its format, in words, for checkpoints without checksums."""
    for path in sorted(checkpoint.iterdir()):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt"):
                    pass
            elif path.suffix in (".pt", ".pth"):
                with zipfile.ZipFile(path) as archive:
                    if archive.testzip() is not None:
                        return f"{path.name} is damaged"
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except (SafetensorError, zipfile.BadZipFile, ValueError):
            return f"{path.name} is damaged"
    return None


def best_update_of(checkpoint: Path) -> int | None:
    """The update with the best validation score when a checkpoint was saved; None before the first evaluation."""
    return json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8")).get("best_global_step")


def remove_newer(folder: Path, update: int) -> None:
    """Removes checkpoints and best weights after `update`: a run that resumes there writes them again.

    Args:
        folder: the folder of the checkpoints.
    """
    for path in [*checkpoints(folder), *_best(folder)]:
        if update_of(path) > update:
            remove_folder(path)


def remove_old(folder: Path, keep: int) -> None:
    """Removes all checkpoints except the last `keep`, then best weights that no checkpoint refers to.

    Args:
        folder: the folder of the checkpoints.
    """
    for path in checkpoints(folder)[:-keep]:
        remove_folder(path)
    remove_old_best(folder)


def remove_interim(folder: Path) -> None:
    """Removes checkpoints between those of the schedule, except the newest, from which the run goes on.

    An interrupted run saves one. The finished run must not differ from one that was never interrupted, also where it
    averages its last checkpoints.

    Args:
        folder: the folder of the checkpoints.
    """
    for path in checkpoints(folder)[:-1]:
        with suppress(OSError, ValueError, RuntimeError):  # a damaged checkpoint, which says nothing
            if fact_of(path, "interim"):
                remove_folder(path)


def remove_old_best(folder: Path, current: int | None = None) -> None:
    """Removes best weights, except those of update `current` and those that a checkpoint refers to.

    Args:
        folder: the folder of the checkpoints.
    """
    kept = {current}
    for path in checkpoints(folder):
        with suppress(OSError, ValueError):  # a damaged checkpoint, which no run resumes
            kept.add(best_update_of(path))
    for path in _best(folder):
        if update_of(path) not in kept:
            remove_folder(path)


def _best(folder: Path) -> list[Path]:
    return [path for path in folder.glob("best-*") if re.fullmatch(r"best-\d+", path.name)]


# ---- Weights


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a model folder, from one or several safetensors files; for adapters, their weights.

    Raises:
        FileNotFoundError: the folder has no weights.
        ValueError: they differ from their checksums, if the folder has any.
    """
    if (damage := damaged_file(Path(folder), only=".safetensors")) is not None:
        raise ValueError(f"The weights in {folder} are damaged: {damage}.")
    return {name: tensor for path in _weight_files(Path(folder)) for name, tensor in load_file(path).items()}


def _weight_files(folder: Path) -> list[Path]:
    if (folder / SAFE_WEIGHTS_INDEX_NAME).is_file():
        files = sorted(folder.glob("model-*.safetensors"))
    else:
        files = [path for name in (SAFE_WEIGHTS_NAME, _ADAPTER_WEIGHTS) if (path := folder / name).is_file()][:1]
    if not files:
        raise FileNotFoundError(f"{folder} holds no model: it has no {SAFE_WEIGHTS_NAME}.")
    return files


def put_weights(model: nn.Module, folder: Path) -> None:
    """Loads the weights of a folder into a model. Tied weights are stored once."""
    weights = load_weights(folder)
    if hasattr(model, "peft_config"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, weights)
        return
    model.load_state_dict(weights, strict=False)
    model.tie_weights()


def average_checkpoints(folder: str | Path, last: int = 5) -> dict[str, torch.Tensor]:
    """The mean of the weights of the last checkpoints of a run (section 6.1 of the paper).

    Args:
        folder: the output folder of a run, or the folder that holds its checkpoints.
        last: number of checkpoints; the paper averages 5 for the base model and 20 for the big model.

    Returns:
        The averaged weights by name, in the precision of the checkpoints; computed in float64.

    Raises:
        FileNotFoundError: there are fewer checkpoints.
        ValueError: their weights differ in name or shape.
    """
    return average_files(last_checkpoints(folder, last))


def last_checkpoints(folder: str | Path, last: int) -> list[Path]:
    """The last `last` checkpoints of a run, oldest first. Raises the same errors as `average_checkpoints`."""
    if last < 1:
        raise ValueError(f"last must be at least 1, not {last}.")
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: give the output folder of a run.")
    found = checkpoints(folder)
    if len(found) < last:
        raise FileNotFoundError(
            f"{folder} has {counted(len(found), 'checkpoint')}, so the last {last} cannot be averaged: average fewer, "
            f"or train with a smaller checkpoint.save_steps and a checkpoint.save_total_limit of at least {last}."
        )
    return found[-last:]


def average_files(paths: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of the weights of the given model folders; see `average_checkpoints`."""
    total: dict[str, torch.Tensor] = {}
    types: dict[str, torch.dtype] = {}
    for path in paths:
        weights = load_weights(path)
        if total and weights.keys() != total.keys():
            differing = sorted(weights.keys() ^ total.keys())
            raise ValueError(f"{path} and {paths[0]} belong to other models: they differ in {differing[:5]}.")
        for name, tensor in weights.items():
            if name not in total:
                total[name], types[name] = torch.zeros(tensor.shape, dtype=torch.float64), tensor.dtype
            elif tensor.shape != total[name].shape:
                raise ValueError(
                    f"{name} is {tuple(tensor.shape)} in {path}, but {tuple(total[name].shape)} in {paths[0]}."
                )
            total[name] += tensor
            if bool(torch.isnan(total[name].sum())):
                raise ValueError(
                    f"{path} has weights in {name} that are not numbers (NaN), or infinite ones: the training "
                    "diverged, or the file is damaged; average other checkpoints."
                )
    return {name: (tensor / len(paths)).to(types[name]) for name, tensor in total.items()}


def save_average(paths: list[Path], output: Path, *, recipe: str | None = None, occupied: str | None = None) -> None:
    """Writes a model folder with the mean of the weights of `paths` and the other model files of the last of them.

    Args:
        paths: model folders.
        output: the folder to write.
        recipe: content of a recipe.yaml in it.
        occupied: see `folder_aside`.
    """
    weights = average_files(paths)
    file_name = _ADAPTER_WEIGHTS if (Path(paths[-1]) / _ADAPTER_WEIGHTS).is_file() else SAFE_WEIGHTS_NAME
    with folder_aside(output, occupied=occupied) as aside:
        for file in sorted(Path(paths[-1]).iterdir()):
            if file.is_file() and file.suffix != ".safetensors" and not _serves_training(file.name):
                shutil.copyfile(file, aside / file.name)
        save_file(weights, aside / file_name, metadata={"format": "pt"})
        if recipe is not None:
            (aside / "recipe.yaml").write_text(recipe, encoding="utf-8")


def _serves_training(name: str) -> bool:
    return name in _TRAINING_FILES or name.startswith("rng_state_")
