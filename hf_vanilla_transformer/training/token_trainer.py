"""The trainer of `train`, `pretrain` and `adapt`, with batches filled by tokens and the exact mean loss per token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data import TokenBatchSampler
from ..evaluation import load_metric
from ..wording import counted
from . import schedules
from .batches import Batches, EpochBatches, Rows, SeededCollator
from .optimizers import build_optimizer
from .recipes.text_sections import TrainingRecipe
from .recipes.training_recipe import Recipe
from .split_scores import total_loss
from .streaming import StreamBatches, StreamedRows
from .trainer import RecipeTrainer


def peak_learning_rate(training: TrainingRecipe, hidden_size: int) -> float:
    """The highest learning rate of the recipe's schedule."""
    if training.lr_scheduler_type == "noam":
        return training.learning_rate_scale * (hidden_size * max(training.warmup_steps, 1)) ** -0.5
    return training.learning_rate_scale * training.learning_rate


def token_sampler(recipe: Recipe, rows: Any, processes: int) -> TokenBatchSampler:
    """The batches of an epoch for all processes, in order; only as many as fill complete updates.

    Args:
        recipe: decides the tokens per batch, and the seed of the order.
        rows: an object with `lengths()`.
        processes: number of training processes.

    Raises:
        ValueError: a row does not fit into a batch, or the rows do not fill one update.
    """
    training = recipe.training
    try:
        return TokenBatchSampler(
            rows.lengths(),
            training.tokens_per_batch,
            count="sum" if recipe.data.packing else "padded",
            seed=training.seed,
            num_replicas=processes * training.gradient_accumulation_steps,
            rank=None,
        )
    except ValueError as error:
        raise ValueError(
            f"training.tokens_per_batch={training.tokens_per_batch} does not suit the data on "
            f"{counted(processes, 'process', 'processes')} with training.gradient_accumulation_steps="
            f"{training.gradient_accumulation_steps}: {error}"
        ) from error


def token_batches(
    recipe: Recipe,
    rows: Rows | StreamedRows,
    collator: Callable[[list], dict[str, torch.Tensor]],
    processes: int,
    *,
    sampler: Callable[[Recipe, Rows, int], Any] = token_sampler,
    reencode: Callable[[], dict[str, Any]] | None = None,
) -> Batches:
    """The batches of a training on tokens.

    Args:
        recipe: of the training.
        rows: tokenised training rows, in memory or as a stream.
        collator: makes a batch of rows.
        processes: number of training processes.
        sampler: returns the batches of an epoch for rows in memory, like `token_sampler`.
        reencode: returns new columns of the training rows for each epoch (BPE dropout), or None.
    """
    training = recipe.training
    common = {
        "seed": training.seed,
        "processes": processes,
        "accumulation": training.gradient_accumulation_steps,
        "workers": training.dataloader_num_workers,
    }
    if isinstance(rows, StreamedRows):
        return StreamBatches(rows, collator, **common)
    return EpochBatches(rows, sampler(recipe, rows, processes), collator, reencode=reencode, **common)


class TokenTrainer(RecipeTrainer):
    """Trains on batches of tokens.

    Args:
        recipe: of the training.
        model: its trainable parameters are trained.
        tokenizer: saved with every checkpoint.
        train_rows: tokenised training rows, in memory or as a stream.
        validation_rows: tokenised validation rows, or None.
        collator: makes a batch of rows.
        folder: the output folder of the run.
        reencode: see `token_batches`.
        score: returns scores in addition to the loss, ``score(model) -> {"bleu": ...}``; every process calls it.
        sampler: see `token_batches`.
        callbacks: transformers' callbacks.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_rows: Rows | StreamedRows,
        validation_rows: Rows | None,
        collator: Callable[[list], dict[str, torch.Tensor]],
        folder: Path,
        *,
        reencode: Callable[[], dict[str, Any]] | None = None,
        score: Callable[[PreTrainedModel], dict[str, Any]] | None = None,
        sampler: Callable[[Recipe, Rows, int], Any] = token_sampler,
        callbacks: list | None = None,
    ) -> None:
        self.validation_rows = validation_rows
        self.collate = collator
        self.score = score
        super().__init__(
            recipe,
            model,
            tokenizer,
            partial(token_batches, recipe, train_rows, collator, sampler=sampler, reencode=reencode),
            folder,
            evaluates=validation_rows is not None,
            # Every parameter contributes to every loss; searching for unused ones would cost a pass over the graph.
            arguments={"ddp_find_unused_parameters": False, "torch_compile": recipe.training.torch_compile},
            callbacks=callbacks,
        )

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """The recipe's optimizer."""
        if self.optimizer is None:
            training = self.recipe.training
            peak = peak_learning_rate(training, self.model.config.hidden_size)
            base = training.learning_rate_scale if training.lr_scheduler_type == "noam" else peak
            self.optimizer = build_optimizer(self.model if model is None else model, training, peak, base)
        return self.optimizer

    def schedule(self, updates: int) -> schedules.Schedule:
        """The recipe's schedule; `linear` and `cosine` progress by updates or by minutes."""
        training = self.recipe.training
        warmup = training.warmup_steps
        if training.lr_scheduler_type == "noam":
            return schedules.noam(self.model.config.hidden_size, max(warmup, 1))
        if training.lr_scheduler_type == "inverse_sqrt":
            return schedules.inverse_sqrt(warmup)
        if training.lr_scheduler_type == "constant":
            return schedules.constant(warmup)

        def along_updates(done: int) -> float:
            return (done - warmup) / max(updates - warmup, 1)

        if training.schedule_by == "minutes":
            seconds = 60 * training.max_minutes

            def progress(done: int) -> float:
                """By the nearer limit: a fast machine makes its last update before the minutes are over."""
                return max(self.clock.training / seconds, along_updates(done))

        else:
            progress = along_updates
        return schedules.decay(training.lr_scheduler_type, warmup, training.final_learning_rate_ratio, progress)

    def validation_fingerprint(self) -> int | None:
        """A checksum of the tokens of the validation rows; None if there are none."""
        return None if self.validation_rows is None else self.validation_rows.fingerprint()

    def scores(self) -> dict[str, Any]:
        """Exact mean loss per token of the validation rows, its perplexity, and the task's own scores."""
        metrics: dict[str, Any] = {}
        if self.validation_rows is not None:
            loss, tokens = self.total_loss(self.validation_rows)
            metrics |= load_metric("perplexity").compute(losses=[loss], tokens=[tokens])
        if self.score is not None:
            metrics |= self.score(self.model)
        return metrics

    def total_loss(self, rows: Rows) -> tuple[float, int]:
        """Sum of the losses of all tokens that have a label, and their number, over all processes."""
        collate = SeededCollator(self.collate, self.recipe.training.seed)
        with self.compute_loss_context_manager():
            return total_loss(
                self.model, self.recipe, rows, collate, rank=self.args.process_index, processes=self.args.world_size
            )
