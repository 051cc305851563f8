"""The trainer of `finetune`: batches of rows of similar length, layerwise learning rates, the task's scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from .. import schedules
from ..batches import EpochBatches, TableRows
from ..optimizers import fuses
from ..recipes.finetuning_recipe import FinetuneRecipe, RatesRecipe
from ..sharding import loads_whole_state
from ..trainer import RecipeTrainer
from .parameter_groups import discriminative_groups
from .task import Task


class RowSampler:
    """Batches of a fixed number of rows of similar length, with little padding.

    The order of an epoch depends on the seed and the epoch alone. It is that of transformers' `LengthGroupedSampler`:
    random groups of 50 updates, each sorted by length. The rows of the last update of an epoch are distributed evenly
    among its batches; if there are fewer rows than batches, the first rows of the epoch are repeated.

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch.
        batches_per_update: batches of all processes that are accumulated for one update.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, batches_per_update: int = 1, seed: int = 0) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.batches_per_update = batches_per_update
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.lengths) // (self.batch_size * self.batches_per_update)) * self.batches_per_update

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator()
        generator.manual_seed(int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0]))
        rows_per_update = self.batch_size * self.batches_per_update
        order = get_length_grouped_indices(self.lengths, rows_per_update, generator=generator)
        for start in range(0, len(order), rows_per_update):
            rows = order[start : start + rows_per_update]
            if len(rows) == rows_per_update:
                yield from (rows[first : first + self.batch_size] for first in range(0, len(rows), self.batch_size))
            else:
                rows = np.array(rows + order[: max(0, self.batches_per_update - len(rows))])
                yield from (part.tolist() for part in np.array_split(rows, self.batches_per_update))

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch


def row_batches(recipe: FinetuneRecipe, rows: datasets.Dataset, collator: Any, processes: int) -> EpochBatches:
    """The batches of a fine-tuning.

    Args:
        recipe: of the fine-tuning.
        rows: encoded training rows.
        collator: makes a batch of rows.
        processes: number of training processes.
    """
    training = recipe.training
    accumulation = training.gradient_accumulation_steps
    sampler = RowSampler(
        [len(ids) for ids in rows["input_ids"]],
        training.per_device_train_batch_size,
        batches_per_update=processes * accumulation,
        seed=training.seed,
    )
    return EpochBatches(
        TableRows(rows), sampler, collator, seed=training.seed, processes=processes, accumulation=accumulation,
    )  # fmt: skip


class TaskTrainer(RecipeTrainer):
    """Trains one model of a task.

    Args:
        task: that built the model.
        model: to train, with frozen weights or adapters.
        tokenizer: of the model.
        train_rows: encoded.
        validation_rows: rows of the task, not encoded; None for no evaluations.
        folder: the output folder of the run.
        callbacks: transformers' callbacks.
    """

    counts_tokens = False  # the labels of most tasks are not tokens

    def __init__(
        self,
        task: Task,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_rows: datasets.Dataset,
        validation_rows: datasets.Dataset | None,
        folder: Path,
        *,
        callbacks: list | None = None,
    ) -> None:
        self.task = task
        # A random sample: the first rows may all have the same class.
        self.validation_rows = _some(validation_rows, task.recipe.evaluation.max_rows)
        collator = task.collator(tokenizer)
        super().__init__(
            task.recipe,
            model,
            tokenizer,
            partial(row_batches, task.recipe, train_rows, collator),
            folder,
            evaluates=validation_rows is not None,
            arguments={"per_device_eval_batch_size": task.recipe.evaluation.per_device_eval_batch_size},
            callbacks=callbacks,
            data_collator=collator,
            eval_dataset=None
            if validation_rows is None
            else model_columns(task.encode(self.validation_rows, tokenizer)),
        )

    @property
    def main_metric(self) -> str:
        """The score that decides which weights are the best."""
        return main_metric(self.task)

    @property
    def eval_steps(self) -> int | None:
        """Updates between two evaluations; an epoch if `evaluation.eval_steps` is not set."""
        if not self.evaluates:
            return None
        return self.recipe.evaluation.eval_steps or self.batches.updates_per_epoch

    @property
    def save_steps(self) -> int:
        """Updates between two checkpoints; an epoch if `checkpoint.save_steps` is not set."""
        return self.recipe.checkpoint.save_steps or self.batches.updates_per_epoch

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over `discriminative_groups`."""
        if self.optimizer is None:
            training, rates = self.recipe.training, self.recipe.rates
            groups = discriminative_groups(
                self.model if model is None else model,
                rates.learning_rate,
                rates.layerwise_lr_decay,
                training.weight_decay,
            )
            betas = (training.adam_beta1, training.adam_beta2)
            fused = fuses(self.model.parameters())
            self.optimizer = loads_whole_state(
                torch.optim.AdamW(groups, betas=betas, eps=training.adam_epsilon, fused=fused, foreach=False)
            )
        return self.optimizer

    def schedule(self, updates: int) -> schedules.Schedule:
        """The recipe's schedule over all updates."""
        return rate_schedule(self.recipe.rates, updates)

    def validation_fingerprint(self) -> int | None:
        """A checksum of the validation rows that are scored; None if there are none."""
        return None if self.validation_rows is None else TableRows(self.validation_rows).fingerprint()

    def scores(self) -> dict[str, Any]:
        """The task's scores on the validation rows (at most `evaluation.max_rows`), and the loss."""
        scores = self.task.metrics(self.task.predict(self.model, self.processing_class, self.validation_rows))
        if "loss" not in scores:
            output = self.evaluation_loop(self.get_eval_dataloader(), "Evaluation", prediction_loss_only=True)
            scores["loss"] = output.metrics["eval_loss"]
        return scores


def model_columns(rows: datasets.Dataset) -> datasets.Dataset:
    """The columns for the collator, without `length` and `row`."""
    return rows.remove_columns([name for name in ("length", "row") if name in rows.column_names])


def main_metric(task: Task) -> str:
    """The score that decides which weights are the best."""
    return task.recipe.evaluation.metric_for_best_model or task.main_metric


def rate_schedule(rates: RatesRecipe, total_steps: int) -> schedules.Schedule:
    """The factor of the learning rates over the updates."""
    if rates.lr_scheduler_type == "slanted_triangular":
        return schedules.slanted_triangular(total_steps, rates.cut_fraction, rates.ratio)
    warmup = int(total_steps * rates.cut_fraction)
    if rates.lr_scheduler_type == "constant":
        return schedules.constant(warmup)

    def progress(updates: int) -> float:
        return max(0.0, updates - warmup) / max(total_steps - warmup, 1)

    return schedules.decay(rates.lr_scheduler_type, warmup, 1 / rates.ratio, progress)


def _some(rows: datasets.Dataset | None, limit: int | None) -> datasets.Dataset | None:
    """At most `limit` rows, the same in every run."""
    if rows is None or limit is None or len(rows) <= limit:
        return rows
    return rows.select(sorted(np.random.default_rng(0).permutation(len(rows))[:limit].tolist()))
