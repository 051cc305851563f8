"""What a recipe would do, without doing it: ``hf-vanilla train --dry-run``."""

from __future__ import annotations

from .batches import Rows
from .corpus import encode, get_tokenizer, load_corpus
from .model import build_model, check_model
from .recipe import Recipe
from .trainer import UNLIMITED_STEPS, peak_learning_rate, planned_steps, token_sampler


def plan(recipe: Recipe, *, processes: int = 1) -> str:
    """Reads the data and makes the tokenizer, then describes the training as a table.

    Args:
        recipe: what would be done.
        processes: how many there would be.

    Raises:
        ValueError, FileNotFoundError: what would stop the run as well.
    """
    check_model(recipe)
    corpus = load_corpus(recipe)
    tokenizer = get_tokenizer(recipe, corpus)
    rows = encode(recipe, tokenizer, corpus.train, training=True)
    model = build_model(recipe, tokenizer, device="meta" if recipe.model.start_from is None else None)
    lines = [("task", recipe.task), ("model", f"{type(model).__name__}, {model.num_parameters():,} parameters")]
    lines.append(("vocabulary", f"{len(tokenizer):,} tokens"))
    for name in ("train", "validation", "test"):
        split = getattr(corpus, name)
        lines.append((name, "none" if split is None else f"{len(split):,} rows"))
    lines += _batches(recipe, rows, processes)
    training = recipe.training
    peak = peak_learning_rate(training, model.config.hidden_size)
    lines.append(
        ("optimizer", f"{training.optimizer}, {training.schedule}, peak {peak:.3g} at {training.warmup_steps:,}")
    )
    lines.append(("output", recipe.output.folder or "not set (--output FOLDER)"))
    return "\n".join(f"{name:14} {value}" for name, value in lines)


def _batches(recipe: Recipe, rows: Rows, processes: int) -> list[tuple[str, str]]:
    training = recipe.training
    sampler = token_sampler(recipe, rows, processes)
    per_epoch = len(sampler) // (processes * training.accumulation)
    steps = planned_steps(recipe, per_epoch)
    real = int(rows.lengths()[:, -1].sum()) // max(per_epoch, 1)
    lines = [
        ("rows used", f"{len(rows):,}, {per_epoch:,} updates in an epoch"),
        ("tokens", f"about {real:,} target tokens an update, {sampler.padding():.1%} of a padded batch is padding"),
    ]
    if steps == UNLIMITED_STEPS:
        lines.append(("end", f"after {training.max_minutes:g} minutes of training"))
    else:
        lines.append(("end", f"after {steps:,} updates, {steps / per_epoch:.1f} epochs, or earlier"))
    return lines
