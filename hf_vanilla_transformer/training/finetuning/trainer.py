"""transformers' Trainer with the recipe's rates, schedule and scores."""

from __future__ import annotations

import time
from typing import Any

import datasets
import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from .. import schedules
from ..recipes.finetuning_recipe import FinetuneRecipe, RatesRecipe
from .parameter_groups import discriminative_groups
from .task import Task

# Scores of which less is better.
LESS_IS_BETTER = ("loss", "mse", "mae", "perplexity")


class FinetuneTrainer(Trainer):
    """Trains one model of a task.

    Only three things differ from Trainer: the optimizer has `discriminative_groups`, the schedule is the recipe's, and
    an evaluation scores what the task predicts.

    Args:
        task: has seen its rows, and made the model.
        model: in the state in which it is trained: with frozen weights, adapters, ...
        tokenizer: its tokenizer.
        train_rows: encoded.
        validation_rows: not encoded, with their right answers; None for no evaluations.
        folder: for checkpoints.
    """

    def __init__(
        self,
        task: Task,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_rows: datasets.Dataset,
        validation_rows: datasets.Dataset | None,
        folder: str,
    ) -> None:
        self.task = task
        self.recipe = task.recipe
        # Not the first ones: they may all be of one class.
        self.validation_rows = _some(validation_rows, self.recipe.evaluation.max_rows)
        super().__init__(
            model,
            training_arguments(self.recipe, folder, evaluates=validation_rows is not None, metric=main_metric(task)),
            data_collator=task.collator(tokenizer),
            train_dataset=train_rows,
            eval_dataset=None if validation_rows is None else task.encode(self.validation_rows, tokenizer),
            processing_class=tokenizer,
        )
        self.remove_callback(PrinterCallback)

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
            self.optimizer = torch.optim.AdamW(groups, betas=betas, eps=training.adam_epsilon, fused=True)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The recipe's schedule over all updates."""
        if self.lr_scheduler is None:
            factor = rate_schedule(self.recipe.rates, num_training_steps)
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """What the task scores on the validation rows (`evaluation.max_rows` of them), and the loss."""
        started = time.time()
        self.model.eval()
        scores = self.task.metrics(self.task.predict(self.model, self.processing_class, self.validation_rows))
        if "loss" not in scores:
            loader = self.get_eval_dataloader()
            output = self.evaluation_loop(loader, "Evaluation", prediction_loss_only=True)
            scores["loss"] = output.metrics["eval_loss"]
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        metrics[f"{metric_key_prefix}_runtime"] = round(time.time() - started, 3)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _some(rows: datasets.Dataset | None, limit: int | None) -> datasets.Dataset | None:
    """At most so many rows, the same in every run."""
    if rows is None or limit is None or len(rows) <= limit:
        return rows
    return rows.select(sorted(np.random.default_rng(0).permutation(len(rows))[:limit].tolist()))


def main_metric(task: Task) -> str:
    """The score that decides which checkpoint is best."""
    return task.recipe.evaluation.metric_for_best_model or task.main_metric


def higher_is_better(metric: str) -> bool:
    """Whether more of a score is better."""
    return metric.removeprefix("eval_") not in LESS_IS_BETTER


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


def training_arguments(recipe: FinetuneRecipe, folder: str, *, evaluates: bool, metric: str) -> TrainingArguments:
    """The recipe in the words of Trainer."""
    training, evaluation = recipe.training, recipe.evaluation
    when = ("steps" if evaluation.eval_steps else "epoch") if evaluates else "no"
    # Setting it at all warns of its new name, which older versions of transformers do not know.
    checkpointing = {"gradient_checkpointing": True} if training.gradient_checkpointing else {}
    every = (
        {"eval_steps": evaluation.eval_steps, "save_steps": evaluation.eval_steps}
        if evaluation.eval_steps and evaluates
        else {}
    )
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=training.num_train_epochs,
        max_steps=-1 if training.max_steps is None else training.max_steps,
        per_device_train_batch_size=training.per_device_train_batch_size,
        per_device_eval_batch_size=evaluation.per_device_eval_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        max_grad_norm=training.max_grad_norm,
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        train_sampling_strategy="group_by_length",
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        seed=training.seed,
        data_seed=training.seed,
        eval_strategy=when,
        save_strategy=when if evaluates else "epoch",
        save_total_limit=2,
        load_best_model_at_end=evaluates and evaluation.load_best_model_at_end,
        metric_for_best_model=f"eval_{metric}" if evaluates else None,
        greater_is_better=higher_is_better(metric) if evaluates else None,
        report_to=recipe.output.report_to,
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available() and not torch.backends.mps.is_available(),
        **every,
        **checkpointing,
    )
