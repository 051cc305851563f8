"""The steps of a run, the same for train, pretrain, adapt and finetune: from a recipe to a folder with a model.

`carry_out` checks the folder, prepares, trains, chooses the weights, scores them, writes the model folder and reports.
The subclasses of `Run` implement the parts that differ between the commands.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
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
from ..files import folder_aside, replace_files, write_text
from ..hub import ModelCardText, export_folder
from ..reports.curves import plot_curves
from ..wording import counted
from .callbacks import BestModel, RestoreRunState, Schedule, StopConditions, Whereabouts
from .checkpoints import best_folder, checkpoints, put_weights, remove_newer, save_average, update_of
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
    check_new,
    check_resumable,
    lock_folder,
    resume_command,
)
from .trainer import RecipeTrainer

logger = logging.getLogger(__name__)


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
        steps: total number of updates.
        main_process: whether this process writes files, if there are several.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, Any] = field(default_factory=dict)
    chosen: str = "last"
    interrupted: bool = False
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


def carry_out(kind: type[Run], recipe: Any, *, resume: bool = False, command: str = "") -> Any:
    """Carries out all steps of a run.

    Args:
        kind: subclass of `Run` for the command.
        recipe: of the run; `output.output_dir` must be set.
        resume: continue the interrupted run in ``output.output_dir``.
        command: the command line, for the model card.

    Returns:
        The result of `kind.result`, a `TrainingResult`.

    Raises:
        ValueError, FileNotFoundError, ImportError: recipe, data and model do not fit; raised before training starts.
        OSError: a checkpoint could not be written; earlier ones are complete.
    """
    check_launch()
    processes = this_launch().world_size
    if problem := problem_of_processes(recipe.distributed, processes):
        raise ValueError(problem)
    _check_output(recipe.output)
    folder = Path(recipe.output.output_dir)
    resume_from = check_resumable(folder, recipe) if resume else None
    if not resume and _main_process():  # other processes may check later, when the folder is in use
        check_new(folder)
    if note := short_average(recipe.training, recipe.checkpoint):
        logger.warning("%s.", note[0].upper() + note[1:])
    given = recipe
    if resume_from is not None:
        recipe = keep_global_batch(recipe, resume_from, data_parallel_size(recipe.distributed, processes))
    run = kind.prepare(recipe, folder, resume_from=resume_from)
    trainer = run.make_trainer(folder)
    main_process = trainer.is_world_process_zero()
    with lock_folder(folder) if main_process else nullcontext():
        if main_process:
            _open_folder(run, given, folder, resume_from)
        trainer.barrier()
        interrupted = _train(trainer, folder, resume_from)
        history = read_history(folder / METRICS_FILE)
        if main_process and recipe.output.plot and history:  # empty for a short run
            plot_curves(history, folder / CURVES_FILE, **run.curve())
        if not interrupted:
            return _finish(run, trainer, folder, command)
    steps = trainer.state.global_step
    if main_process:
        print(f"Interrupted after {counted(steps, 'update')}. Resume with: {resume_command(folder)}", file=sys.stderr)
    return run.result(
        folder=folder,
        model=trainer.model,
        tokenizer=run.tokenizer,
        interrupted=True,
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
        # Written last: results mark a finished run.
        write_text(folder / RESULTS_FILE, json.dumps(result.metrics, indent=2) + "\n")
        if not run.keeps_checkpoints:
            shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
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


def _open_folder(run: Run, recipe: Any, folder: Path, resume_from: Path | None) -> None:
    """Writes the recipe as given; in a resumed run, removes history and checkpoints of later updates."""
    recipe.save(folder / RECIPE_FILE)
    (folder / RESULTS_FILE).unlink(missing_ok=True)
    step = 0 if resume_from is None else update_of(resume_from)
    trim_history(folder / METRICS_FILE, step)
    if resume_from is None:
        run.begin(folder)
    else:
        remove_newer(resume_from.parent, step)


def _train(trainer: RecipeTrainer, folder: Path, resume_from: Path | None) -> bool:
    """Trains to the end, unless the checkpoint is the end; returns whether the training was interrupted."""
    if resume_from is not None and trainer.restore_if_ended(resume_from):
        return False
    stop = StopConditions(trainer)
    if resume_from is not None:
        trainer.add_callback(RestoreRunState(trainer, resume_from))
    for callback in (
        Whereabouts(trainer),
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


def _write_model(run: Run, result: TrainingResult, command: str) -> None:
    """Writes the model folder with its card and, depending on the command, the model in the output folder itself."""
    folder = result.folder
    if run.model_in_output_folder:
        # Files are moved into place after all are written.
        aside = folder / ".finished"
        with folder_aside(aside) as written:
            result.model.save_pretrained(written)
            result.tokenizer.save_pretrained(written)
        replace_files(aside, folder)
    curves = folder / CURVES_FILE
    plots = {"Training and validation.": curves} if curves.is_file() else {}
    history = folder / METRICS_FILE
    export_folder(
        result.model,
        result.tokenizer,
        folder / MODEL_FOLDER,
        card=replace(run.card_text(result), command=command),
        recipe=run.recipe,
        metrics=result.metrics,
        plots={**plots, **run.card_plots(folder)},
        files=[*([history] if history.is_file() else []), *run.card_files(folder)],
        overwrite=True,
    )


def print_scores(split: str, scores: Mapping[str, Any]) -> None:
    """Prints the scores of a split on one line."""
    shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in scores.items())
    print(f"{split}: " + "  ".join(shown), file=sys.stderr)
