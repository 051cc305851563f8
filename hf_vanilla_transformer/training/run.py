"""The steps of a run, the same for train, pretrain, adapt and finetune: from a recipe to a folder with a model.

`carry_out` checks the folder, prepares, trains, chooses the weights, scores them, writes the model folder and reports.
The subclasses of `Run` implement the parts that differ between the commands.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import torch.distributed as dist
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..device import hardware
from ..files import files_aside, remove_folder, remove_leftovers, write_text
from ..hub import ModelCardText, export_folder
from ..reports.curves import plot_curves
from ..wording import counted
from .bad_updates import BadUpdates
from .callbacks import BestModel, RestoreRunState, Schedule, StopConditions, Whereabouts
from .checkpoint_names import CHECKPOINTS_FOLDER
from .checkpoints import (
    best_folder,
    checkpoints,
    put_weights,
    remove_interim,
    remove_newer,
    remove_old,
    save_average,
    update_of,
)
from .checksums import CHECKSUMS_FILE, write_checksums
from .global_batch import keep_global_batch
from .history import History, read_history, trim_history
from .launch import check_launch, this_launch
from .lost_process import explained_lost_process
from .recipes.distributed_recipe import data_parallel_size, problem_of_processes
from .recipes.sections import OutputRecipe, short_average
from .run_folder import (
    CURVES_FILE,
    METRICS_FILE,
    MODEL_FOLDER,
    RECIPE_FILE,
    RESULTS_FILE,
    Resume,
    RunFinished,
    Start,
    find_start,
    lock_folder,
    resume_command,
)
from .saved_tokenizer import remove_traces
from .trainer import RecipeTrainer

logger = logging.getLogger(__name__)

_WEIGHTS = "*.safetensors"


@dataclass
class TrainingResult:
    """The result of a run.

    Attributes:
        folder: the output folder.
        model: the final model, with averaged, best or last weights (see `chosen`).
        tokenizer: its tokenizer.
        metrics: final scores on the validation and the test split, and facts of the training, as in results.json.
        chosen: source of the final weights, in words.
        interrupted: whether a signal stopped the run, which can be resumed; `metrics` may be empty.
        signal: the number of that signal.
        steps: total number of updates.
        main_process: whether this process writes files, if there are several.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, Any] = field(default_factory=dict)
    chosen: str = "last"
    interrupted: bool = False
    signal: int | None = None
    steps: int = 0
    main_process: bool = True


class Run(ABC):
    """A prepared run of one command: its data is read, its model is built. `carry_out` trains and finishes it.

    Attributes:
        recipe: of the run.
        tokenizer: of the model.
    """

    recipe: Any
    tokenizer: PreTrainedTokenizerBase

    # Whether the output folder itself is a model folder, in addition to `model/`, which is for publishing.
    model_in_output_folder: ClassVar[bool] = True
    # Whether a finished run keeps its checkpoints, to average them or to train further.
    keeps_checkpoints: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def prepare(cls, recipe: Any, folder: Path, *, resume_from: Path | None = None) -> Run:
        """Reads the data and builds the model. Errors in recipe, data or model are raised here, before training starts.

        Args:
            recipe: of the run.
            folder: the output folder, which may not exist yet; `prepare` does not write to it.
            resume_from: the checkpoint to resume from; None for a new run.

        Raises:
            ValueError, FileNotFoundError: recipe, data and model do not fit.
        """

    @abstractmethod
    def make_trainer(self, folder: Path) -> RecipeTrainer:
        """Returns the trainer, with model and data. Creates the output folder."""

    def begin(self, folder: Path) -> None:  # noqa: B027 — optional
        """Writes files that a resume needs in addition to checkpoints; called in the main process of a new run."""

    def finished_model(self, model: nn.Module) -> PreTrainedModel:
        """The model to save, once it has its final weights."""
        return model

    @abstractmethod
    def final_scores(self, trainer: RecipeTrainer, model: PreTrainedModel, folder: Path) -> dict[str, Any]:
        """Scores of the final model, by `SPLIT_METRIC`; also writes its predictions. All processes call it."""

    def facts(self, trainer: RecipeTrainer, folder: Path) -> dict[str, Any]:
        """Further entries of results.json."""
        return {}

    @abstractmethod
    def card_text(self, result: TrainingResult) -> ModelCardText:
        """The text of the model's card."""

    def card_plots(self, folder: Path) -> dict[str, Path]:
        """Further pictures of the card by their captions."""
        return {}

    def card_files(self, folder: Path) -> list[Path]:
        """Further files of the model folder."""
        return []

    def curve(self) -> dict[str, Any]:
        """Arguments of `plot_curves` that decide the score in curves.png."""
        return {}

    def result(self, **fields: Any) -> TrainingResult:
        """The result, with further fields of this command."""
        return TrainingResult(**fields)

    def conclude(self, result: TrainingResult, command: str) -> None:  # noqa: B027
        """Steps after the model folder is written, such as a comparison and a report. All processes call it.

        It may set `result.interrupted`; the run is then unfinished, and a resume continues here.
        """


def carry_out(
    kind: type[Run], recipe: Any, *, resume: Resume = False, accept_changes: bool = False, command: str = ""
) -> Any:
    """Carries out all steps of a run.

    Args:
        kind: subclass of `Run` for the command.
        recipe: of the run; `output.output_dir` must be set.
        resume: what to do with an unfinished run in ``output.output_dir``. False: it goes on if it has the same recipe.
            True: there must be one, and it goes on. ``"if_exists"``: like True, but without one a new run begins.
        accept_changes: with `resume`, whether the run may go on with other data or other rates; it is then another run.
        command: the command line, for the model card.

    Returns:
        The result of `kind.result`, a `TrainingResult`.

    Raises:
        RunFinished: the folder holds a finished run of this recipe.
        ValueError, FileNotFoundError, ImportError: recipe, data and model do not fit; raised before training starts.
            ValueError also: the loss became NaN, infinite or too large, see `BadUpdates`.
        OSError: a checkpoint could not be written; earlier ones are complete.
    """
    check_launch()
    processes = this_launch().world_size
    if problem := problem_of_processes(recipe.distributed, processes):
        raise ValueError(problem)
    _check_output(recipe.output)
    folder = Path(recipe.output.output_dir)
    main_process = _main_process()
    with lock_folder(folder) if main_process else nullcontext():
        try:
            start = find_start(folder, recipe, resume, accept_changes=accept_changes)
        except RunFinished:
            if main_process:
                _clear(folder, kind.keeps_checkpoints)
            raise
        if main_process and start.goes_on:
            _announce(folder, start)
        if note := short_average(recipe.training, recipe.checkpoint):
            logger.warning("%s.", note[0].upper() + note[1:])
        given = recipe
        if start.checkpoint is not None:
            recipe = keep_global_batch(recipe, start.checkpoint, data_parallel_size(recipe.distributed, processes))
        run = kind.prepare(recipe, folder, resume_from=start.checkpoint)
        trainer = run.make_trainer(folder)
        trainer.given_recipe, trainer.accept_changes = given, accept_changes
        if main_process:
            _open_folder(run, given, folder, start.checkpoint)
        trainer.barrier()
        trainer.mark_place()
        stopped_by = _train(trainer, folder, start.checkpoint)
        history = read_history(folder / METRICS_FILE)
        if main_process and recipe.output.plot and history:  # empty for a short run
            plot_curves(history, folder / CURVES_FILE, **run.curve())
        if stopped_by is None:
            return _finish(run, trainer, folder, command)
    steps = trainer.state.global_step
    if main_process:
        name, updates = signal.Signals(stopped_by).name, counted(steps, "update")
        print(
            f"Interrupted by {name} after {updates}. Resume with: {resume_command(folder)}, or run the same command "
            "again.",
            file=sys.stderr,
        )
    return run.result(
        folder=folder,
        model=trainer.model,
        tokenizer=run.tokenizer,
        interrupted=True,
        signal=stopped_by,
        steps=steps,
        main_process=main_process,
    )


def _finish(run: Run, trainer: RecipeTrainer, folder: Path, command: str) -> TrainingResult:
    """Loads the final weights, scores and saves the model, and writes the results."""
    main_process = trainer.is_world_process_zero()
    spent = trainer.clock.state_dict()  # final scores do not count as training time
    chosen = choose_weights(trainer, folder)
    model = run.finished_model(trainer.model)
    model.eval()
    metrics = run.final_scores(trainer, model, folder)
    metrics |= {"steps": trainer.state.global_step, "weights": chosen}
    metrics |= {f"{name}_seconds": round(value, 2) for name, value in spent.items()}
    metrics |= {
        "hardware": hardware(trainer.args.world_size),
        "finished": datetime.now(timezone.utc).date().isoformat(),
        **run.facts(trainer, folder),
    }
    result = run.result(
        folder=folder,
        model=model,
        tokenizer=run.tokenizer,
        metrics=metrics,
        chosen=chosen,
        steps=trainer.state.global_step,
        main_process=main_process,
    )
    if main_process:
        _write_model(run, result, command)
    trainer.barrier()
    run.conclude(result, command)
    if main_process and not result.interrupted:
        write_checksums(folder, [file for place in (folder, folder / MODEL_FOLDER) for file in place.glob(_WEIGHTS)])
        # Written last: results mark a finished run.
        write_text(folder / RESULTS_FILE, json.dumps(_finite(result.metrics), indent=2, allow_nan=False) + "\n")
        _clear(folder, run.keeps_checkpoints)
    return result


def choose_weights(trainer: RecipeTrainer, folder: Path) -> str:
    """Loads the final weights into the model: the average if the recipe asks for one, else the best, else the last.

    Returns:
        Their source, in words.
    """
    recipe = trainer.recipe
    averaged = trainer.average is not None and trainer.average.count and not recipe.checkpoint.average_last
    if averaged:
        trainer.average.copy_to_model()
    trainer.finish_sharding()
    if recipe.checkpoint.average_last:
        found = checkpoints(folder)[-recipe.checkpoint.average_last :]
        if trainer.args.should_save:
            save_average(found, folder / "averaged")
        trainer.barrier()
        put_weights(trainer.model, folder / "averaged")
        return f"average of the last {counted(len(found), 'checkpoint')}"
    if averaged:
        kept = len(trainer.average.snapshots)
        return "moving average" if recipe.training.average == "ema" else f"average of the last {kept} snapshots"
    best = trainer.state.best_global_step
    if trainer.keeps_best and best is not None:
        trainer.barrier()
        put_weights(trainer.model, best_folder(Path(trainer.args.output_dir), best))
        return f"best, of update {best}"
    return "last"


def _check_output(output: OutputRecipe) -> None:
    """Raises ValueError if the output folder is not set, or the package of `output.report_to` is not installed."""
    if output.output_dir is None:
        raise ValueError("output.output_dir is not set: give the output folder, for example --output runs/my-model.")
    reporter = output.report_to
    if reporter != "none" and find_spec(reporter) is None:
        raise ValueError(
            f"output.report_to={reporter!r} needs that package: pip install 'hf_vanilla_transformer[{reporter}]', "
            "or set output.report_to to none."
        )


def _main_process() -> bool:
    """Whether this process writes files; before torch.distributed starts, by the environment of the launcher."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return int(os.environ.get("RANK", "0")) == 0


def _announce(folder: Path, start: Start) -> None:
    """Says that a run goes on, where, and with which changes of its recipe."""
    place = "from its beginning" if start.checkpoint is None else f"after update {update_of(start.checkpoint):,}"
    print(f"The run in {folder} goes on {place}.", file=sys.stderr)
    for name, (before, now) in start.changes.items():
        print(f"  {name} was {before!r} and is {now!r}", file=sys.stderr)


def _clear(folder: Path, keeps_checkpoints: bool) -> None:
    """Removes from a finished run what it no longer needs, and what was left of unfinished writes."""
    if not keeps_checkpoints and (folder / CHECKPOINTS_FOLDER).is_dir():
        remove_folder(folder / CHECKPOINTS_FOLDER)
    _remove_leftovers(folder)


def _remove_leftovers(folder: Path) -> None:
    for place, _, _ in os.walk(folder):
        remove_leftovers(Path(place))


def _open_folder(run: Run, recipe: Any, folder: Path, resume_from: Path | None) -> None:
    """Writes the recipe as given, and removes what the run will write again: later history and checkpoints."""
    _remove_leftovers(folder)
    # Before the recipe: at any time, results belong to the recipe beside them.
    for name in (RESULTS_FILE, CHECKSUMS_FILE):
        (folder / name).unlink(missing_ok=True)
    recipe.save(folder / RECIPE_FILE)
    step = 0 if resume_from is None else update_of(resume_from)
    trim_history(folder / METRICS_FILE, step)
    remove_newer(folder / CHECKPOINTS_FOLDER, step)
    remove_interim(folder / CHECKPOINTS_FOLDER)
    remove_old(folder / CHECKPOINTS_FOLDER, run.recipe.checkpoint.save_total_limit)
    if resume_from is None:
        run.begin(folder)


def _train(trainer: RecipeTrainer, folder: Path, resume_from: Path | None) -> int | None:
    """Trains to the end, unless the checkpoint is the end; returns the signal that stopped the training, if one did."""
    if resume_from is not None and trainer.restore_if_ended(resume_from):
        return None
    stop = StopConditions(trainer)
    if resume_from is not None:
        trainer.add_callback(RestoreRunState(trainer, resume_from))
    for callback in (
        Whereabouts(trainer),
        BadUpdates(trainer, folder),
        Schedule(trainer),
        stop,
        History(trainer, folder / METRICS_FILE),
        BestModel(trainer),
    ):
        trainer.add_callback(callback)
    minutes = trainer.recipe.distributed.timeout_minutes
    with explained_lost_process(f"Rank {trainer.args.process_index}", minutes):
        try:
            trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
        finally:
            stop.release()
        return stop.agree()


def _finite(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value


def _write_model(run: Run, result: TrainingResult, command: str) -> None:
    """Writes the model folder with its card and, depending on the command, the model in the output folder itself."""
    folder = result.folder
    remove_traces(result.tokenizer)
    if run.model_in_output_folder:
        with files_aside(folder) as aside:
            result.model.save_pretrained(aside)
            result.tokenizer.save_pretrained(aside)
    curves = folder / CURVES_FILE
    plots = {"Training and validation.": curves} if curves.is_file() else {}
    history = folder / METRICS_FILE
    export_folder(
        result.model,
        result.tokenizer,
        folder / MODEL_FOLDER,
        card=replace(run.card_text(result), command=command),
        recipe=run.recipe,
        metrics=_finite(result.metrics),
        plots={**plots, **run.card_plots(folder)},
        files=[*([history] if history.is_file() else []), *run.card_files(folder)],
        overwrite=True,
    )


def print_scores(split: str, scores: Mapping[str, Any]) -> None:
    """Prints the scores of a split on one line."""
    shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in scores.items())
    print(f"{split}: " + "  ".join(shown), file=sys.stderr)
