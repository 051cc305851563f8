"""A fine-tuning: from a recipe to a folder with a model that a pipeline loads, its predictions, scores and account."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import datasets
from transformers import EarlyStoppingCallback, PreTrainedModel, PreTrainedTokenizerBase

from ...device import hardware
from ...files import write_text
from ...reports.curves import plot_curves, trim_metrics
from ..averaging import checkpoints
from ..folder import CURVES_FILE, METRICS_FILE, RECIPE_FILE, RESULTS_FILE
from ..recipes.finetuning_recipe import FinetuneRecipe, validate
from .backbone import finished_model, prepare_backbone
from .base_model import BaseModel, open_base_model
from .comparison import Gain, check_comparison, compared_recipes, gain_table, read_gain
from .course import Course, Interruption
from .folder import PREDICTIONS_FILE, TRAINABLE_FILE, check_new, check_resumable
from .model_folder import write_model_folder
from .page import write_run_page
from .splits import draw_rows
from .task import Prediction, Splits, Task
from .tasks import make_task
from .trainer import FinetuneTrainer, main_metric
from .unfreezing import GradualUnfreezing, TrainableRecord, trainable_table

logger = logging.getLogger(__name__)


@dataclass
class FinetuneResult:
    """What a fine-tuning made.

    Attributes:
        folder: the output folder.
        model: the finished model, adapters merged.
        tokenizer: its tokenizer.
        metrics: what results.json says.
        predictions: of each split that was scored.
        labels: names of the classes, in the order of the model's outputs.
        gains: what other starts gave, if the recipe asks for a comparison.
        interrupted: the run was stopped by a signal; `metrics` is empty, and a resume goes on.
        steps: updates made in all.
        main_process: of several processes, whether this one writes files.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)
    interrupted: bool = False
    steps: int = 0
    main_process: bool = True


@dataclass
class Prepared:
    """Everything a fine-tuning needs before the first update.

    Attributes:
        task: has seen its rows.
        splits: labels as numbers; of the training rows those that are learned from.
        available: training rows that there were before `data.max_labels` drew some.
        base_model: what is fine-tuned.
        model: with its new head, not yet frozen.
        train_rows: encoded.
    """

    task: Task
    splits: Splits
    available: int
    base_model: BaseModel
    model: PreTrainedModel
    train_rows: datasets.Dataset


def prepare(recipe: FinetuneRecipe) -> Prepared:
    """Reads base model and data and builds the model; everything that does not fit is found here, before the long work.

    Raises:
        FileNotFoundError: base model or data are not there.
        ValueError: they do not fit the task or each other.
    """
    validate(recipe)
    if recipe.base_model is None:
        raise ValueError(
            "base_model is not set: say what is fine-tuned, for example hf-vanilla finetune runs/my-model --task ..."
        )
    task = make_task(recipe)
    base_model = open_base_model(
        recipe.base_model,
        format=recipe.base_model_format,
        random_weights=recipe.from_scratch,
        attention=recipe.attn_implementation,
    )
    splits = task.load()
    task.fit_labels(splits)
    for report in splits.reports:
        if not report.skipped:  # the reader itself warns of bad rows
            logger.info("%s", report)
    available = len(splits.train)
    splits.train = draw_rows(task, splits.train)
    model = task.build_model(base_model)
    return Prepared(
        task, splits, available, base_model, model, _model_columns(task.encode(splits.train, base_model.tokenizer))
    )


def run_finetuning(recipe: FinetuneRecipe, *, resume: bool = False, command: str = "") -> FinetuneResult:
    """Fine-tunes as the recipe says and writes everything to ``output.output_dir``.

    Args:
        recipe: what to do; `base_model`, `data.path` and `output.output_dir` must be set.
        resume: go on with the interrupted run in that folder.
        command: what was typed, for the card.

    Raises:
        ValueError, FileNotFoundError, ImportError: something does not fit; raised before the long work.
    """
    if recipe.output.output_dir is None:
        raise ValueError("output.output_dir is not set: say where the model goes, for example --output runs/sentiment.")
    folder = Path(recipe.output.output_dir)
    resume_from = check_resumable(folder, recipe) if resume else None
    if not resume and os.environ.get("RANK", "0") == "0":  # the others come when the first may have begun
        check_new(folder)
    check_comparison(recipe)
    prepared = prepare(recipe)
    if recipe.training.gradient_checkpointing:
        prepared.model.config.use_cache = False
    trainer = FinetuneTrainer(
        prepared.task,
        prepare_backbone(prepared.model, recipe.backbone),
        prepared.base_model.tokenizer,
        prepared.train_rows,
        prepared.splits.validation,
        str(folder / "checkpoints"),
    )
    main_process = trainer.is_world_process_zero()
    if main_process:
        folder.mkdir(parents=True, exist_ok=True)
        recipe.save(folder / RECIPE_FILE)
        if resume_from is not None:
            trim_metrics(folder / METRICS_FILE, int(resume_from.name.rpartition("-")[2]))
    record = TrainableRecord(folder / TRAINABLE_FILE)
    interruption = Interruption()
    for callback in _callbacks(recipe, prepared, record, interruption, folder):
        trainer.add_callback(callback)
    began = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    finally:
        interruption.release()
    seconds = time.monotonic() - began
    steps = trainer.state.global_step
    if main_process:
        _plot(recipe, prepared.task, folder)
    if interruption.interrupted:
        print(
            f"Interrupted after {steps:,} updates. Go on with: hf-vanilla finetune --resume {folder}", file=sys.stderr
        )
        return FinetuneResult(
            folder,
            trainer.model,
            prepared.base_model.tokenizer,
            interrupted=True,
            steps=steps,
            main_process=main_process,
        )
    model = finished_model(trainer.model)
    model.eval()
    metrics, predictions = _final_scores(recipe, prepared, model)
    metrics |= _facts(trainer, prepared, record, seconds)
    result = FinetuneResult(
        folder,
        model,
        prepared.base_model.tokenizer,
        metrics,
        predictions,
        list(prepared.task.labels),
        steps=steps,
        main_process=main_process,
    )
    trainer.accelerator.wait_for_everyone()  # until all have read the best checkpoint, which goes now
    if main_process:
        _write(recipe, prepared, result, record, command)
    trainer.accelerator.wait_for_everyone()
    result.gains = _compare(recipe, prepared.task, metrics, folder, main_process)
    if main_process:
        write_run_page(folder, notes=_notes(prepared), command=command)
        _say(prepared.task, result, record)
    return result


def _callbacks(
    recipe: FinetuneRecipe, prepared: Prepared, record: TrainableRecord, interruption: Interruption, folder: Path
) -> list[Any]:
    """In this order: what is recorded must have happened."""
    callbacks: list[Any] = []
    if recipe.unfreezing.mode == "gradual":
        callbacks.append(GradualUnfreezing(recipe.unfreezing.every_epochs))
    callbacks += [record, Course(folder / METRICS_FILE), interruption]
    if recipe.evaluation.patience is not None:
        if prepared.splits.validation is None:
            raise ValueError(
                "evaluation.patience counts evaluations, but there is no validation split; name one, or set "
                "data.validation_part."
            )
        callbacks.append(EarlyStoppingCallback(recipe.evaluation.patience))
    return callbacks


def _model_columns(rows: datasets.Dataset) -> datasets.Dataset:
    """Without what only people read; Trainer takes lengths from the ids."""
    return rows.remove_columns([name for name in ("length", "row") if name in rows.column_names])


def _final_scores(
    recipe: FinetuneRecipe, prepared: Prepared, model: PreTrainedModel
) -> tuple[dict[str, Any], dict[str, list[Prediction]]]:
    metrics: dict[str, Any] = {}
    found = {}
    for split in ("validation", "test") if recipe.evaluation.test else ("validation",):
        rows = getattr(prepared.splits, split)
        if rows is None:
            continue
        found[split] = prepared.task.predict(model, prepared.base_model.tokenizer, rows)
        scores = prepared.task.metrics(found[split])
        metrics |= {f"{split}_{name}": value for name, value in scores.items()}
    return metrics, found


def _facts(trainer: FinetuneTrainer, prepared: Prepared, record: TrainableRecord, seconds: float) -> dict[str, Any]:
    """What else results.json says. Numbers that are no scores lie one level deeper."""
    best = trainer.args.load_best_model_at_end and trainer.state.best_global_step
    return {
        "main_metric": main_metric(prepared.task),
        "steps": trainer.state.global_step,
        "weights": f"best, of update {trainer.state.best_global_step}" if best else "last",
        "training_seconds": round(seconds, 1),
        "hardware": hardware(trainer.args.world_size),
        "finished": datetime.now(timezone.utc).date().isoformat(),
        "run": {
            "task": prepared.task.name,
            "seed": prepared.task.recipe.training.seed,
            "from_scratch": prepared.task.recipe.from_scratch,
            "train_rows": len(prepared.splits.train),
            "train_rows_available": prepared.available,
            "trainable_parameters": max((entry.parameters for entry in record.history), default=0),
            "parameters": prepared.model.num_parameters(),
            "lineage": [dataclasses.asdict(ancestor) for ancestor in prepared.base_model.lineage],
        },
    }


def _notes(prepared: Prepared) -> list[str]:
    """What a reader should know of the data: rows that were left out, and doubtful labels."""
    return [*(str(report) for report in prepared.splits.reports if report.skipped), *prepared.task.notes]


def _plot(recipe: FinetuneRecipe, task: Task, folder: Path) -> None:
    if recipe.output.plot and (folder / METRICS_FILE).is_file():
        plot_curves(folder / METRICS_FILE, folder / CURVES_FILE, metric=main_metric(task), unit="")


def _write(
    recipe: FinetuneRecipe, prepared: Prepared, result: FinetuneResult, record: TrainableRecord, command: str
) -> None:
    folder = result.folder
    for split, predictions in result.predictions.items():
        lines = (json.dumps(one.to_dict(), ensure_ascii=False) for one in predictions)
        write_text(folder / PREDICTIONS_FILE.format(split=split), "".join(f"{line}\n" for line in lines))
    write_model_folder(recipe, prepared.base_model, result, command)
    # Last: where it is, the run is complete.
    write_text(folder / RESULTS_FILE, json.dumps(result.metrics, indent=2) + "\n")
    if checkpoints(folder):  # three times the size of the model, and nothing is left to go on with
        shutil.rmtree(folder / "checkpoints")


def _compare(
    recipe: FinetuneRecipe, task: Task, metrics: dict[str, Any], folder: Path, main_process: bool
) -> list[Gain]:
    """Runs or reads each of the other starts."""
    gains = []
    for name, other in compared_recipes(recipe):
        if isinstance(other, FinetuneRecipe):
            target = Path(other.output.output_dir)
            if not (target / RESULTS_FILE).is_file():
                print(f"\nThe same fine-tuning from another start, for comparison: {name}", file=sys.stderr)
                result = run_finetuning(other, resume=bool(checkpoints(target)))
                if result.interrupted:
                    break
            other = target
        gains.append(read_gain(name, Path(other), main_metric(task), metrics))
    if gains and main_process:
        metrics["gains"] = [dataclasses.asdict(gain) for gain in gains]
        write_text(folder / RESULTS_FILE, json.dumps(metrics, indent=2) + "\n")
    return gains


def _say(task: Task, result: FinetuneResult, record: TrainableRecord) -> None:
    """The end of a run on the screen: scores, what was trained, the gain."""
    lines = ["", trainable_table(record.history), ""]
    for split in result.predictions:
        scores = [
            f"{name.removeprefix(f'{split}_')} {value:.4g}"
            for name, value in result.metrics.items()
            if name.startswith(f"{split}_") and isinstance(value, (int, float)) and not math.isnan(value)
        ]
        lines.append(f"{split}: " + "  ".join(scores))
    if result.gains:
        lines += ["", gain_table(result.gains, main_metric(task))]
    elif not task.recipe.comparison.start and len(result.metrics["run"]["lineage"]) > 1:
        before = Path(result.metrics["run"]["lineage"][1]["source"]).name
        lines += ["", f"What starting from {before} would have given: --comparison.start before"]
    print("\n".join(lines), file=sys.stderr)
