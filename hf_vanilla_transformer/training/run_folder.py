"""The output folder of a run: the names of its files, and whether a run begins in it, goes on or has ended.

A run writes its recipe first and ``results.json`` last. So a folder with a recipe holds a run, and a folder with
results holds a finished one. What a killed run leaves unfinished has a hidden name (see ``files.py``) and does not
count.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from ..files import is_leftover
from .checkpoint_names import CHECKPOINTS_FOLDER, checkpoints
from .checksums import damaged_file
from .recipes.reading import read_recipe
from .recipes.recipe_kind import command_of

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"
METRICS_FILE = "metrics.jsonl"
CURVES_FILE = "curves.png"
RESULTS_FILE = "results.json"
TRANSLATIONS_FILE = "{split}.translations.txt"
PREDICTIONS_FILE = "predictions_{split}.jsonl"
MODEL_FOLDER = "model"
_LOCK_FILE = ".lock"
_SOFT_LOCK_FILE = ".lock-of-process"

# What to do with a run that the folder already holds. False: go on with an unfinished run of the same recipe. True:
# there must be a run, and its recipe may have changed in some fields. "if_exists": like True, but a new run may begin.
Resume = bool | Literal["if_exists"]

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
    "training.on_bad_loss",
    "training.loss_limit",
    "training.max_bad_losses",
}
# These may change as well if the user accepts that the run is then another one from its checkpoint on. The weights and
# the state of the optimizer fit all of them.
_MAY_CHANGE_IF_ACCEPTED = {
    "data",
    "objective",
    "evaluation.max_rows",
    "text_length",
    "rates",
    "unfreezing",
    "adaptation.replay",
    "adaptation.l2_sp",
    "adaptation.l2_sp_new_rows",
    "adaptation.general",
    "training.gradient_accumulation_steps",
    "training.tokens_per_batch",
    "training.per_device_train_batch_size",
    "training.adam_beta1",
    "training.adam_beta2",
    "training.adam_epsilon",
    "training.weight_decay",
    "training.max_grad_norm",
    "training.learning_rate",
    "training.learning_rate_scale",
    "training.lr_scheduler_type",
    "training.schedule_by",
    "training.warmup_steps",
    "training.final_learning_rate_ratio",
    "training.muon_learning_rate",
    "training.muon_momentum",
    "training.gradient_checkpointing",
    "training.torch_compile",
    "training.seed",
    "model.attn_implementation",
    "attn_implementation",
    "model.config.dropout",
    "model.config.attention_dropout",
    "model.config.activation_dropout",
    "model.config.label_smoothing",
    "head.dropout",
}
# Fields that decide when the training ends. Changing one of them continues a finished run.
_LIMITS = ("training.max_steps", "training.num_train_epochs", "training.max_minutes", "evaluation.patience")


class RunFinished(ValueError):
    """The folder holds a finished run of the same recipe: there is nothing left to do."""


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        goes_on: whether the folder holds an unfinished run, which goes on.
        checkpoint: from which it goes on; None from the beginning.
        changes: fields of the recipe that were changed, with the old and the new value.
    """

    goes_on: bool = False
    checkpoint: Path | None = None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def check_new(folder: str | Path) -> None:
    """Raises ValueError, before any work, unless `folder` is new or empty."""
    folder = Path(folder)
    check_place(folder)
    if (folder / RECIPE_FILE).is_file():
        state = "a finished run" if (folder / RESULTS_FILE).is_file() else "an unfinished run"
        raise ValueError(f"The output folder {folder} holds {state}; choose another with --output.")


def find_start(folder: Path, recipe: Any, resume: Resume = False, *, accept_changes: bool = False) -> Start:
    """Where a run of `recipe` starts in `folder`: anew, or at the newest whole checkpoint of an unfinished run.

    Args:
        folder: the output folder, which need not exist.
        recipe: a `WritableRecipe`.
        resume: see `Resume`.
        accept_changes: whether fields may have changed on which the rest of the training depends.

    Raises:
        RunFinished: the run is finished, and `recipe` asks for nothing more.
        FileNotFoundError: `resume` is true, but there is no run; or none of its checkpoints can be resumed.
        ValueError: the folder holds other files, or a run of another recipe; the message names each changed field.
    """
    if not (folder / RECIPE_FILE).is_file():
        if resume is True:
            raise FileNotFoundError(
                f"There is no run to resume in {folder}: it has no {RECIPE_FILE}. A run that was stopped before it "
                "wrote one starts again with its first command."
            )
        check_place(folder)
        return Start()
    from .checkpoints import newest_resumable, recipe_of  # imports torch, which a wrong command does not wait for

    changes = _changes(read_recipe(type(recipe), folder / RECIPE_FILE).to_dict(), recipe)
    finished = (folder / RESULTS_FILE).is_file()
    allowed = _MAY_CHANGE | (_MAY_CHANGE_IF_ACCEPTED if accept_changes else set())
    refused = [name for name in changes if resume is False or not _is_among(name, allowed)]
    if refused:
        raise ValueError(_refusal(folder, finished, resume, changes, refused))
    if finished and not changes.keys() & set(_LIMITS):
        _check_result(folder)
    checkpoint = newest_resumable(folder)
    if checkpoint is not None and (trained := recipe_of(checkpoint)) is not None:
        # The recipe of the folder may have been edited since.
        changes |= _changes(trained, recipe)
        refused = [name for name in changes if not _is_among(name, allowed)]
        if refused:
            raise ValueError(_refusal(folder, finished, True, changes, refused))
    return Start(True, checkpoint, changes)


def check_place(folder: Path) -> None:
    """Raises ValueError if `folder` is a file, or holds more than a run leaves that was killed at its beginning."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file; choose another with --output.")
    names = sorted(entry.name for entry in folder.iterdir() if not _is_nothing(entry)) if folder.is_dir() else []
    if names and not (folder / RECIPE_FILE).is_file():
        raise ValueError(
            f"The output folder {folder} holds other files ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}),"
            " which a run would mix with its own; choose another with --output."
        )


def _is_nothing(entry: Path) -> bool:
    if entry.name == CHECKPOINTS_FOLDER and entry.is_dir():
        return all(map(is_leftover, entry.iterdir()))
    return entry.name in (_LOCK_FILE, _SOFT_LOCK_FILE) or is_leftover(entry)


def _check_result(folder: Path) -> None:
    """Raises RunFinished if the model of a finished run is whole, and ValueError if it cannot be written again."""
    damage = damaged_file(folder)
    if damage is None:
        raise RunFinished(
            f"The run in {folder} is finished (it has a {RESULTS_FILE}): nothing to resume. To train it further, raise "
            "training.max_steps, training.num_train_epochs or training.max_minutes, with --resume or "
            "--resume-if-exists. For another run, choose another folder with --output."
        )
    if not checkpoints(folder):
        raise ValueError(
            f"The run in {folder} is finished, but {damage}. There is no checkpoint from which the model could be "
            "written again: train again in another folder."
        )
    logger.warning("The model in %s is written again from the last checkpoint: %s.", folder, damage)


def _changes(before: Mapping[str, Any], recipe: Any) -> dict[str, tuple[Any, Any]]:
    changes = changed_fields(before, recipe.to_dict())
    changes.pop("output.output_dir", None)  # the same folder, perhaps written in another way
    return changes


def _refusal(
    folder: Path, finished: bool, resume: Resume, changes: Mapping[str, tuple[Any, Any]], refused: list[str]
) -> str:
    """The message about a run of another recipe, with each changed field and the ways out."""
    fields = "; ".join(f"{name} was {changes[name][0]!r} and is {changes[name][1]!r}" for name in refused)
    if resume is False:
        ways = ["Choose another folder with --output."]
        if not finished:
            ways.append(f"To go on with the run that is there: {resume_command(folder)}.")
        if all(_is_among(name, _MAY_CHANGE) for name in refused) and (not finished or changes.keys() & set(_LIMITS)):
            ways.append("To go on with these changes, add --resume-if-exists.")
        state = "a finished run" if finished else "an unfinished run"
        return f"The output folder {folder} holds {state} of another recipe: {fields}. {' '.join(ways)}"
    ways = ["Leave the recipe as it was, or start a new run."]
    if all(_is_among(name, _MAY_CHANGE_IF_ACCEPTED) for name in refused):
        ways.append("To go on as another run from the last checkpoint on, add --accept-changes.")
    return f"The run in {folder} cannot be resumed with another recipe: {fields}. {' '.join(ways)}"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Creates the folder and locks it against other runs. The lock ends with the process, however it ends.

    A new folder that is empty at the end is removed.

    Raises:
        ValueError: another process trains in the folder, or the folder is a file.
        OSError: the folder cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file; choose another with --output.")
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquired_lock(folder)
    except Timeout as error:
        raise ValueError(
            f"Another process trains in the output folder {folder}: wait until it ends, or choose another folder with "
            "--output."
        ) from error
    except OSError as error:
        raise OSError(
            f"The output folder {folder} cannot be written to: {error.strerror}. Choose another with --output."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file
            Path(lock.lock_file).unlink()
        lock.release()
        for place in new:
            with suppress(OSError):  # it is not empty
                place.rmdir()


def _acquired_lock(folder: Path) -> BaseFileLock:
    """The system's lock; on file systems without one, a file that names its process, which other processes look for."""
    lock: BaseFileLock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        (folder / _LOCK_FILE).unlink(missing_ok=True)
        lock = SoftFileLock(folder / _SOFT_LOCK_FILE)
        lock.acquire(timeout=0)
    return lock


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
            "interrupted run. A run that was stopped before it wrote its recipe starts again with its first command."
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


def _is_among(name: str, fields: set[str]) -> bool:
    return any(name == field or name.startswith(f"{field}.") for field in fields)
