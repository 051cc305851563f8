"""What a fine-tuning would do, without doing it: ``hf-vanilla finetune --dry-run``."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..recipes.finetuning_recipe import FinetuneRecipe
from .backbone import prepare_backbone
from .base_model import describe
from .finetuning_run import Prepared, prepare
from .memory import estimate_memory
from .parameter_groups import discriminative_groups, layer_names, parameters_by_layer
from .trainer import main_metric
from .unfreezing import Trainable, thawed_parts, trainable_now, trainable_table


def plan(recipe: FinetuneRecipe) -> str:
    """Reads base model and data, builds the model, and describes the training; nothing is written.

    Args:
        recipe: what would be done.

    Raises:
        ValueError, FileNotFoundError, ImportError: what would stop the run as well.
    """
    prepared = prepare(recipe)
    lengths = np.array([len(ids) for ids in prepared.train_rows["input_ids"]])
    per_epoch = updates_per_epoch(recipe, len(lengths))
    steps = total_updates(recipe, len(lengths))
    model = prepare_backbone(prepared.model, recipe.backbone)
    accumulation = recipe.training.gradient_accumulation_steps
    if recipe.training.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    lines = [
        ("task", f"{recipe.task}, chosen by {main_metric(prepared.task)}"),
        ("base model", describe(prepared.base_model.lineage) or f"random weights in the shape of {recipe.base_model}"),
        ("model", f"{type(prepared.model).__name__}, {prepared.model.num_parameters():,} parameters"),
        *_rows(prepared),
        *_tokens(recipe, prepared, lengths, steps, per_epoch),
        ("updates", f"{steps:,}, {per_epoch:,} in an epoch, {recipe.training.per_device_train_batch_size} rows"
         + (f" × {accumulation}" if accumulation > 1 else "") + " each"),
        ("evaluations", _evaluations(recipe, prepared, steps, per_epoch)),
        ("memory", str(estimate_memory(
            model, _longest(prepared, lengths), recipe.training.per_device_train_batch_size,
            precision=recipe.training.precision
        ))),
        ("output", recipe.output.output_dir or "not set (--output FOLDER)"),
    ]  # fmt: skip
    table = "\n".join(f"{name:14} {value}" for name, value in lines)
    history = trainable_schedule(recipe, model, steps, per_epoch)
    return (
        f"{table}\n\nWhat is trained when, with its highest learning rate ({recipe.rates.lr_scheduler_type}, over "
        f"{steps:,} updates):\n{trainable_table(history)}"
    )


def updates_per_epoch(recipe: FinetuneRecipe, rows: int) -> int:
    """How many updates a pass over the rows makes; the last one may have fewer."""
    return max(
        1,
        math.ceil(
            math.ceil(rows / recipe.training.per_device_train_batch_size) / recipe.training.gradient_accumulation_steps
        ),
    )


def total_updates(recipe: FinetuneRecipe, rows: int) -> int:
    """How many updates there are in all, unless patience ends them earlier."""
    if recipe.training.max_steps is not None:
        return recipe.training.max_steps
    return math.ceil(recipe.training.num_train_epochs * updates_per_epoch(recipe, rows))


def trainable_schedule(recipe: FinetuneRecipe, model: nn.Module, steps: int, per_epoch: int) -> list[Trainable]:
    """What would be trained from which update on.

    Args:
        model: as it is trained, with frozen weights or adapters; it is the same afterwards.
        steps: all updates.
        per_epoch: updates of an epoch.
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
            parts = thawed_parts(count, model)
            for part, parameters in parameters_by_layer(model).items():
                for parameter in parameters:
                    parameter.requires_grad_(part in parts)
            history.append(trainable_now(model, optimizer, step, epoch))
    finally:
        for parameter, needs_gradient in before:
            parameter.requires_grad_(needs_gradient)
    return history


def _rows(prepared: Prepared) -> list[tuple[str, str]]:
    lines = []
    for split in ("train", "validation", "test"):
        rows = getattr(prepared.splits, split)
        value = "none" if rows is None else f"{len(rows):,} rows"
        if split == "train":
            if len(rows) < prepared.available:
                value += f" of {prepared.available:,} (data.max_labels)"
            classes = prepared.task.classes(rows)
            if classes is not None and prepared.task.labels:
                counts = Counter(classes)
                shown = [f"{name} {counts[index]:,}" for index, name in enumerate(prepared.task.labels)][:8]
                value += f": {', '.join(shown)}{', ...' if len(prepared.task.labels) > 8 else ''}"
        lines.append((split, value))
    skipped = [report for report in prepared.splits.reports if report.skipped]
    if skipped:
        lines.append(("left out", "; ".join(f"{one.skipped:,} of {one.rows:,} ({one.origin})" for one in skipped)))
    return lines


def _tokens(
    recipe: FinetuneRecipe, prepared: Prepared, lengths: np.ndarray, steps: int, per_epoch: int
) -> list[tuple[str, str]]:
    seen = int(lengths.sum() * steps / per_epoch)
    windows = len(lengths) - len(prepared.splits.train)
    text = (
        f"{int(lengths.sum()):,} in an epoch, {seen:,} in all; {lengths.mean():.0f} in a row, at most {lengths.max():,}"
    )
    if windows:
        text += f"; {windows:,} more rows than texts, since long ones are read in windows"
    return [("tokens", text)]


def _evaluations(recipe: FinetuneRecipe, prepared: Prepared, steps: int, per_epoch: int) -> str:
    if prepared.splits.validation is None:
        return "none: there is no validation split"
    every = recipe.evaluation.eval_steps or per_epoch
    text = f"{max(1, steps // every):,}, every {every:,} updates, on the validation rows"
    patience = recipe.evaluation.patience
    return text if patience is None else f"{text}; stops after {patience} without a better one"


def _longest(prepared: Prepared, lengths: np.ndarray) -> dict[str, Any]:
    """The longest training row as a batch of one."""
    row = prepared.train_rows[int(lengths.argmax())]
    batch = prepared.task.collator(prepared.base_model.tokenizer)([row])
    return {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
