"""The plan of a fine-tuning: ``hf-vanilla finetune --dry-run``."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from ...wording import counted
from ..plan import memory_line, output_line, plan_table, training_memory
from ..recipes.finetuning_recipe import FinetuneRecipe
from ..trainer import planned_updates
from .backbone import prepare_backbone
from .base_model import describe
from .few_updates import few_updates
from .finetuning_run import FinetuningRun
from .parameter_groups import discriminative_groups, layer_names, parameters_by_layer
from .task_trainer import main_metric, row_batches
from .unfreezing import Trainable, trainable_now, trainable_table, unfrozen_parts


def plan(recipe: FinetuneRecipe, *, processes: int = 1) -> str:
    """Reads base model and data, builds the model and describes the training; writes no file.

    Args:
        recipe: of the fine-tuning.
        processes: number of training processes.

    Raises:
        ValueError, FileNotFoundError, ImportError: the run itself would fail for the same reason.
    """
    run = FinetuningRun.prepare(recipe)
    training = recipe.training
    collator = run.task.collator(run.tokenizer)
    lengths = np.array([len(ids) for ids in run.train_rows["input_ids"]])
    per_epoch = row_batches(recipe, run.train_rows, collator, processes).updates_per_epoch
    steps = planned_updates(training, per_epoch)
    model = prepare_backbone(run.model, recipe.backbone)
    longest = run.train_rows[int(lengths.argmax())]

    def batch_of(count: int) -> dict[str, torch.Tensor]:
        batch = collator([longest] * count)
        return {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}

    rows, accumulation = training.per_device_train_batch_size, training.gradient_accumulation_steps
    lines = [
        ("task", f"{recipe.task}, best model by {main_metric(run.task)}"),
        ("base model", describe(run.base_model.lineage) or f"random weights in the shape of {recipe.base_model}"),
        ("model", f"{type(run.model).__name__}, {run.model.num_parameters():,} parameters"),
        *_row_lines(run),
        _token_line(run, lengths, steps, per_epoch),
        (
            "updates",
            f"{steps:,}, {per_epoch:,} per epoch, {rows} rows"
            + (f" × {accumulation}" if accumulation > 1 else "")
            + " each",
        ),
        ("evaluations", _evaluations(run, steps, per_epoch)),
        memory_line(training_memory(recipe, model, batch_of, rows)),
        output_line(recipe),
    ]
    if hint := few_updates(training, per_epoch):
        lines.append(("hint", hint))
    history = trainable_schedule(recipe, model, steps, per_epoch)
    return (
        f"{plan_table(lines)}\n\nTrainable parts by update, with their highest learning rates "
        f"({recipe.rates.lr_scheduler_type}, over {counted(steps, 'update')}):\n{trainable_table(history)}"
    )


def trainable_schedule(recipe: FinetuneRecipe, model: nn.Module, steps: int, per_epoch: int) -> list[Trainable]:
    """The trainable parts at each stage of the training.

    Args:
        recipe: of the fine-tuning.
        model: the model to train, with frozen weights or adapters; unchanged by the call.
        steps: all updates.
        per_epoch: updates per epoch.
    """
    rates = recipe.rates
    groups = discriminative_groups(model, rates.learning_rate, rates.layerwise_lr_decay, recipe.training.weight_decay)
    optimizer = SimpleNamespace(param_groups=groups)
    if recipe.unfreezing.mode == "none":
        return [trainable_now(model, optimizer)]
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    history = []
    try:
        for count in range(1, len(layer_names(model)) + 1):
            epoch = (count - 1) * recipe.unfreezing.every_epochs
            step = math.ceil(epoch * per_epoch)
            if step >= steps:
                break
            parts = unfrozen_parts(count, model)
            for part, parameters in parameters_by_layer(model).items():
                for parameter in parameters:
                    parameter.requires_grad_(part in parts)
            history.append(trainable_now(model, optimizer, step, epoch))
    finally:
        for parameter, needs_gradient in before:
            parameter.requires_grad_(needs_gradient)
    return history


def _row_lines(run: FinetuningRun) -> list[tuple[str, str]]:
    lines = []
    for split in ("train", "validation", "test"):
        rows = getattr(run.splits, split)
        value = "none" if rows is None else counted(len(rows), "row")
        if split == "train":
            if len(rows) < run.available:
                value += f" of {run.available:,} (data.max_labels)"
            classes = run.task.classes(rows)
            if classes is not None and run.task.labels:
                counts = Counter(classes)
                shown = [f"{name} {counts[index]:,}" for index, name in enumerate(run.task.labels)][:8]
                value += f": {', '.join(shown)}{', ...' if len(run.task.labels) > 8 else ''}"
        lines.append((split, value))
    skipped = [report for report in run.splits.reports if report.skipped]
    if skipped:
        lines.append(("left out", "; ".join(f"{one.skipped:,} of {one.rows:,} ({one.origin})" for one in skipped)))
    return lines


def _token_line(run: FinetuningRun, lengths: np.ndarray, steps: int, per_epoch: int) -> tuple[str, str]:
    seen = int(lengths.sum() * steps / per_epoch)
    windows = len(lengths) - len(run.splits.train)
    text = f"{int(lengths.sum()):,} per epoch, {seen:,} in all; {lengths.mean():.0f} per row, at most {lengths.max():,}"
    if windows:
        text += f"; {windows:,} more rows than texts, because long texts are read in windows"
    return ("tokens", text)


def _evaluations(run: FinetuningRun, steps: int, per_epoch: int) -> str:
    if run.splits.validation is None:
        return "none: there is no validation split"
    evaluation = run.recipe.evaluation
    every = evaluation.eval_steps or per_epoch
    text = f"{-(-steps // every):,}, every {every:,} updates and at the end, on the validation rows"
    patience = evaluation.patience
    return text if patience is None else f"{text}; stops after {patience} without improvement"
