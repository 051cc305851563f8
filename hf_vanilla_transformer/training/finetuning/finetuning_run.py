"""The run of `finetune`: trains a base model with a new head on labelled rows; writes predictions and report."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...files import write_text
from ...hub import ModelCardText
from ..recipes.finetuning_recipe import FinetuneRecipe, validate
from ..run import Run, TrainingResult, carry_out, print_scores
from ..run_folder import PREDICTIONS_FILE, RESULTS_FILE, Resume
from .backbone import finished_model, prepare_backbone
from .base_model import BaseModel, open_base_model
from .baseline import BAG_OF_WORDS, baseline_folder, train_baseline, verdict
from .comparison import check_comparison, compared_recipes, gain_table, read_gain
from .encoded_rows import longest_row
from .few_updates import few_updates
from .finetuning_card import card_text
from .finetuning_report import write_run_report
from .gain import Gain
from .labelled_rows import draw_rows
from .task import Prediction, Splits, Task
from .task_trainer import TaskTrainer, main_metric, model_columns
from .tasks import make_task
from .unfreezing import TRAINABLE_FILE, GradualUnfreezing, TrainableRecord, read_trainable, trainable_table

logger = logging.getLogger(__name__)


@dataclass
class FinetuneResult(TrainingResult):
    """The result of a fine-tuning.

    Attributes:
        predictions: for each split with scores.
        labels: names of the classes, in the order of the model's outputs.
        gains: over other initialisations, if the recipe asks for a comparison.
    """

    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)


def run_finetuning(
    recipe: FinetuneRecipe, *, resume: Resume = False, accept_changes: bool = False, command: str = ""
) -> FinetuneResult:
    """Fine-tunes by a recipe and writes model, predictions and report to ``output.output_dir``.

    Args:
        recipe: of the fine-tuning; `base_model`, `data.path` and `output.output_dir` must be set.
        resume, accept_changes: what to do with an unfinished run in ``output.output_dir``, see `carry_out`.
        command: the command line, for the model card.

    Raises:
        ValueError, FileNotFoundError, ImportError: recipe, data and base model do not fit; raised before training
            starts.
    """
    return carry_out(FinetuningRun, recipe, resume=resume, accept_changes=accept_changes, command=command)


@dataclass
class FinetuningRun(Run):
    """A prepared fine-tuning.

    Attributes:
        recipe: of the fine-tuning.
        task: after `fit_labels`.
        splits: with labels as numbers, and the training rows after `data.max_labels`.
        available: number of training rows before `data.max_labels`.
        base_model: to fine-tune.
        model: with its new head, without frozen weights or adapters.
        train_rows: encoded.
        predictions: of the final model, by split.
    """

    recipe: FinetuneRecipe
    task: Task
    splits: Splits
    available: int
    base_model: BaseModel
    model: PreTrainedModel
    train_rows: datasets.Dataset
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    _rows_per_second: float | None = None

    model_in_output_folder = False
    keeps_checkpoints = False  # with the optimizer state, a checkpoint is three times as large as the model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of the base model."""
        return self.base_model.tokenizer

    @classmethod
    def prepare(cls, recipe: FinetuneRecipe, folder: Path | None = None, *, resume_from: Path | None = None):
        """Reads base model and data, and builds the model."""
        validate(recipe)
        if recipe.base_model is None:
            raise ValueError(
                "base_model is not set: give the model to fine-tune, for example hf-vanilla finetune runs/my-model "
                "--task ..."
            )
        check_comparison(recipe)
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
            if not report.skipped:  # readers warn about bad rows themselves
                logger.info("%s", report)
        if recipe.evaluation.patience is not None and splits.validation is None:
            raise ValueError(
                f"evaluation.patience={recipe.evaluation.patience} needs evaluations, but there is no validation "
                "split: set data.validation or data.validation_part."
            )
        available = len(splits.train)
        if recipe.data.max_labels is not None:
            seed = recipe.training.seed if recipe.data.sample_seed is None else recipe.data.sample_seed
            splits.train = draw_rows(splits.train, recipe.data.max_labels, task.classes(splits.train), seed)
        model = task.build_model(base_model)
        train_rows = model_columns(task.encode(splits.train, base_model.tokenizer))
        return cls(recipe, task, splits, available, base_model, model, train_rows)

    def make_trainer(self, folder: Path) -> TaskTrainer:
        """A `TaskTrainer`, with the backbone frozen or adapted, and gradual unfreezing as a callback."""
        recipe = self.recipe
        if recipe.training.gradient_checkpointing:
            self.model.config.use_cache = False
        # The record must run after the unfreezing.
        callbacks: list[Any] = []
        if recipe.unfreezing.mode == "gradual":
            callbacks.append(GradualUnfreezing(recipe.unfreezing.every_epochs))
        callbacks.append(TrainableRecord(folder / TRAINABLE_FILE))
        trainer = TaskTrainer(
            self.task,
            prepare_backbone(self.model, recipe.backbone),
            self.tokenizer,
            self.train_rows,
            self.splits.validation,
            folder,
            callbacks=callbacks,
        )
        hint = few_updates(recipe.training, trainer.batches.updates_per_epoch)
        if hint is not None and trainer.is_world_process_zero():
            logger.info("%s", hint)
        return trainer

    def finished_model(self, model: nn.Module) -> PreTrainedModel:
        """Merges adapters into the weights, so that the model loads without PEFT."""
        # Pipelines with truncation=True truncate to this length.
        longest = longest_row(self.recipe.text_length, self.base_model)
        self.tokenizer.model_max_length = min(self.tokenizer.model_max_length, longest)
        return finished_model(model)

    def final_scores(self, trainer: TaskTrainer, model: PreTrainedModel, folder: Path) -> dict[str, Any]:
        """The task's scores on the validation split and, if the recipe asks for it, on the test split."""
        metrics: dict[str, Any] = {}
        rows_of_all, seconds = 0, 0.0
        for split in ("validation", "test") if self.recipe.evaluation.test else ("validation",):
            rows = getattr(self.splits, split)
            if rows is None:
                continue
            started = time.perf_counter()
            self.predictions[split] = self.task.predict(model, self.tokenizer, rows)
            seconds += time.perf_counter() - started
            rows_of_all += len(rows)
            scores = self.task.metrics(self.predictions[split])
            metrics |= {f"{split}_{name}": value for name, value in scores.items()}
        if trainer.is_world_process_zero():
            for split, predictions in self.predictions.items():
                lines = (json.dumps(one.to_dict(), ensure_ascii=False) for one in predictions)
                write_text(folder / PREDICTIONS_FILE.format(split=split), "".join(f"{line}\n" for line in lines))
        self._rows_per_second = rows_of_all / seconds if seconds else None
        if BAG_OF_WORDS in self.recipe.comparison.start:
            folder_of_baseline = baseline_folder(self.recipe)
            if trainer.is_world_process_zero() and not (folder_of_baseline / RESULTS_FILE).is_file():
                print("\nComparison with a bag of words", file=sys.stderr)
                train_baseline(self.task, self.splits, folder_of_baseline, test=self.recipe.evaluation.test)
            trainer.barrier()
        return metrics

    def facts(self, trainer: TaskTrainer, folder: Path) -> dict[str, Any]:
        """The name of the main metric, and facts of the run."""
        return {
            "main_metric": main_metric(self.task),
            "run": {
                "task": self.task.name,
                "seed": self.recipe.training.seed,
                "from_scratch": self.recipe.from_scratch,
                "train_rows": len(self.splits.train),
                "train_rows_available": self.available,
                "trainable_parameters": max((entry.parameters for entry in self._trainable(folder)), default=0),
                "parameters": self.model.num_parameters(),
                "rows_per_second": self._rows_per_second,
                "megabytes": sum(one.numel() * one.element_size() for one in self.model.parameters()) / 1e6,
                "lineage": [dataclasses.asdict(ancestor) for ancestor in self.base_model.lineage],
            },
        }

    def card_text(self, result: TrainingResult) -> ModelCardText:
        """Data, base model and lineage; and which to use, if there was a bag of words."""
        if BAG_OF_WORDS in self.recipe.comparison.start:
            metric = main_metric(self.task)
            gain = read_gain(BAG_OF_WORDS, baseline_folder(self.recipe), metric, result.metrics, result.folder)
            result.metrics["verdict"] = verdict(gain, metric, result.metrics)
        return card_text(
            self.recipe,
            self.base_model,
            name=result.folder.resolve().name,
            train_rows=len(self.splits.train),
            labels=list(self.task.labels),
            tested="test" in self.predictions,
            verdict=result.metrics.get("verdict", ""),
        )

    def card_files(self, folder: Path) -> list[Path]:
        """The record of trainable parts."""
        file = folder / TRAINABLE_FILE
        return [file] if file.is_file() else []

    def curve(self) -> dict[str, Any]:
        """The main metric, without a unit for the loss."""
        return {"metric": main_metric(self.task), "unit": ""}

    def result(self, **fields: Any) -> FinetuneResult:
        """The result with predictions and labels."""
        return FinetuneResult(**fields, predictions=self.predictions, labels=list(self.task.labels))

    def conclude(self, result: FinetuneResult, command: str) -> None:
        """Compares with other initialisations, and writes and prints the report."""
        metric = main_metric(self.task)
        for name, other in compared_recipes(self.recipe):
            if isinstance(other, FinetuneRecipe):
                target = Path(other.output.output_dir)
                if not (target / RESULTS_FILE).is_file():
                    print(f"\nComparison with another initialisation: {name}", file=sys.stderr)
                    compared = run_finetuning(other, resume="if_exists")
                    if compared.interrupted:
                        result.interrupted, result.signal = True, compared.signal
                        return
                other = target
            result.gains.append(read_gain(name, Path(other), metric, result.metrics, result.folder))
        if result.gains:
            result.metrics["gains"] = [dataclasses.asdict(gain) for gain in result.gains]
        if result.main_process:
            notes = [*(str(report) for report in self.splits.reports if report.skipped), *self.task.notes]
            write_run_report(result.folder, result.metrics, notes=notes, command=command)
            self._print_summary(result)

    def _trainable(self, folder: Path) -> list[Any]:
        """The record of trainable parts, from its file: a run resumed after its last update has no record in memory."""
        return read_trainable(folder / TRAINABLE_FILE) if (folder / TRAINABLE_FILE).is_file() else []

    def _print_summary(self, result: FinetuneResult) -> None:
        """Prints trainable parts, scores and gains."""
        print(f"\n{trainable_table(self._trainable(result.folder))}\n", file=sys.stderr)
        for split in result.predictions:
            print_scores(split, _scores_of(split, result.metrics))
        lineage = self.base_model.lineage
        if result.gains:
            if verdict_text := result.metrics.get("verdict"):
                print(f"\n{verdict_text}", file=sys.stderr)
            print(f"\n{gain_table(result.gains, main_metric(self.task))}", file=sys.stderr)
        elif not self.recipe.comparison.start and len(lineage) > 1:
            before = Path(lineage[1].source).name
            print(f"\nTo see the gain over starting from {before}: --comparison.start before", file=sys.stderr)


def _scores_of(split: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(f"{split}_"): value
        for name, value in metrics.items()
        if name.startswith(f"{split}_") and isinstance(value, (int, float)) and not math.isnan(value)
    }
