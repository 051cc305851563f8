"""The output folder of a run: the names of its files, and whether it is new, resumable, finished or something else.

A run writes its recipe first and ``results.json`` last. So a folder with a recipe holds a run, and a folder with
results holds a finished one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from .checkpoints import newest_resumable
from .recipes.recipe_kind import command_of

RECIPE_FILE = "recipe.yaml"
METRICS_FILE = "metrics.jsonl"
CURVES_FILE = "curves.png"
RESULTS_FILE = "results.json"
TRANSLATIONS_FILE = "{split}.translations.txt"
PREDICTIONS_FILE = "predictions_{split}.jsonl"
MODEL_FOLDER = "model"
_LOCK_FILE = ".lock"

# A resumed run may change these fields and sections: the weights and the order of the rows do not depend on them, or
# only after the update at which the run continues.
_MAY_CHANGE = {
    "description",
    "comparison",
    "generation",
    "checkpoint",
    "distributed",
    "output",
    "evaluation.eval_steps",
    "evaluation.patience",
    "evaluation.predict_with_generate",
    "evaluation.num_beams",
    "evaluation.tokens_per_batch",
    "evaluation.per_device_eval_batch_size",
    "evaluation.load_best_model_at_end",
    "evaluation.test",
    "training.max_steps",
    "training.num_train_epochs",
    "training.max_minutes",
    "training.logging_steps",
    "training.dataloader_num_workers",
}
# Fields that decide when the training ends. Changing one of them continues a finished run.
_LIMITS = ("training.max_steps", "training.num_train_epochs", "training.max_minutes", "evaluation.patience")


def check_new(folder: str | Path) -> None:
    """Raises ValueError, before any work, unless `folder` is new or empty."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file; choose another with --output.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if (folder / RECIPE_FILE).is_file() and (folder / RESULTS_FILE).is_file():
        raise ValueError(
            f"The output folder {folder} holds a finished run (it has a {RESULTS_FILE}); choose another with --output."
        )
    if (folder / RECIPE_FILE).is_file():
        raise ValueError(
            f"The output folder {folder} holds an unfinished run. Resume it: {resume_command(folder)}. Or choose "
            "another folder with --output."
        )
    names = sorted(path.name for path in folder.iterdir())
    raise ValueError(
        f"The output folder {folder} holds other files ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}), "
        "which a run would mix with its own; choose another with --output."
    )


def check_resumable(folder: Path, recipe: Any) -> Path | None:
    """The checkpoint from which a run of `recipe` in `folder` continues; None if it was interrupted before the first.

    Args:
        folder: the output folder of the run.
        recipe: the recipe to continue with, anything with `to_dict()`.

    Raises:
        FileNotFoundError: there is no run in the folder, or none of its checkpoints can be resumed.
        ValueError: the run is finished, or a field that decides the weights or the order of the rows differs from the
            saved recipe.
    """
    if not (folder / RECIPE_FILE).is_file():
        raise FileNotFoundError(f"There is no run to resume in {folder}: it has no {RECIPE_FILE}.")
    changed = changed_fields(saved_recipe(folder), recipe.to_dict())
    refused = [f"{name} was {old!r} and is {new!r}" for name, (old, new) in changed.items() if not _may_change(name)]
    if refused:
        raise ValueError(
            f"The run in {folder} cannot be resumed with another recipe: {'; '.join(refused[:3])}"
            f"{'; ...' if len(refused) > 3 else ''}. Leave the recipe as it was, or start a new run."
        )
    if (folder / RESULTS_FILE).is_file() and not changed.keys() & set(_LIMITS):
        raise ValueError(
            f"The run in {folder} is finished (it has a {RESULTS_FILE}): nothing to resume. To train further, raise "
            "training.max_steps, training.num_train_epochs or training.max_minutes."
        )
    return newest_resumable(folder)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Creates the folder and locks it against other runs. The lock ends with the process.

    Raises:
        ValueError: another process trains in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"Another process trains in the output folder {folder}: wait until it ends, or choose another folder with "
            "--output."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file
            (folder / _LOCK_FILE).unlink()
        lock.release()


def saved_recipe(folder: Path) -> dict[str, Any]:
    """The recipe of the run in `folder` as nested dictionaries."""
    path = folder / RECIPE_FILE
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} must hold a mapping of the recipe's fields, not {recipe!r}.")
    return recipe


def check_resumed_by(command: str, folder: str | Path) -> None:
    """Checks that a command resumes a run of its own.

    Args:
        command: `train`, `pretrain`, `adapt` or `finetune`. The first two resume each other's runs.
        folder: as it was given.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it.
        ValueError: the run is that of another command, or the folder is only the model of a run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(folder)!r} to resume: give the output folder of an interrupted run."
        )
    if folder.name == MODEL_FOLDER and (folder.parent / RECIPE_FILE).is_file():
        raise ValueError(f"{folder} is the model of a run, not the run: --resume {folder.parent}.")
    if not (folder / RECIPE_FILE).is_file():
        what = "it is the folder of a model" if (folder / "config.json").is_file() else "it is no run"
        raise FileNotFoundError(
            f"There is no run to resume in {folder}: it has no {RECIPE_FILE}, so {what}. Give the output folder of an "
            "interrupted run."
        )
    owner = command_of(saved_recipe(folder))
    if owner != ("train" if command == "pretrain" else command):
        raise ValueError(
            f"The run in {folder} is one of hf-vanilla {owner}, not of hf-vanilla {command}: resume it with "
            f"{resume_command(folder)}."
        )


def resume_command(folder: Path) -> str:
    """The command that resumes the run in `folder`."""
    return f"hf-vanilla {command_of(saved_recipe(folder))} --resume {folder}"


def changed_fields(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ, by dotted name, each with its old and its new value."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in [*now, *(name for name in before if name not in now)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= changed_fields(old, new, f"{prefix}{name}.")
        elif old != new:
            found[f"{prefix}{name}"] = (old, new)
    return found


def _may_change(name: str) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in _MAY_CHANGE)
