"""The plan of a training: ``hf-vanilla train --dry-run``."""

from __future__ import annotations

from pathlib import Path

from ..wording import counted
from .batches import Rows
from .collators import collator
from .plan import Line, end_line, memory_line, output_line, plan_table, token_memory
from .recipes.mixture import mixture_sources
from .recipes.objective import OBJECTIVES, describe_objective
from .recipes.training_recipe import Recipe
from .streaming import StreamedRows
from .token_trainer import peak_learning_rate, token_sampler
from .trainer import planned_updates
from .training_run import TrainingRun


def plan(recipe: Recipe, *, processes: int = 1) -> str:
    """Reads the data, makes tokenizer and model, then describes the training as a table; writes no file.

    Args:
        recipe: of the training.
        processes: number of training processes.

    Raises:
        ValueError, FileNotFoundError: the run itself would fail for the same reason.
    """
    run = TrainingRun.prepare(recipe, Path())
    model, corpus = run.model, run.corpus
    lines = [("task", recipe.task), ("model", f"{type(model).__name__}, {model.num_parameters():,} parameters")]
    lines.append(("vocabulary", f"{len(run.tokenizer):,} tokens"))
    if recipe.model.initial_embeddings == "cooccurrence":
        lines.append(("embeddings", "initialised from co-occurrences of tokens"))
    streamed = isinstance(run.train_rows, StreamedRows)
    for name in ("train", "validation", "test"):
        split = getattr(corpus, name)
        size = "none" if split is None else counted(len(split), "row")
        if name == "validation" and corpus.held_out:
            size += ", held out from the training text"
        if name != "train" or not streamed:
            lines.append((name, size))
    if streamed:
        lines += _stream_lines(recipe, run.train_rows, processes)
    else:
        lines += _batch_lines(recipe, run.train_rows, processes)
    lines.append(memory_line(token_memory(recipe, model, run.train_rows, collator(recipe, run.tokenizer))))
    if recipe.task in OBJECTIVES.values():
        lines.append(("objective", describe_objective(recipe.task, recipe.objective, reverse=recipe.data.reverse)))
    lines += [optimizer_line(recipe, model.config.hidden_size), output_line(recipe)]
    return plan_table(lines)


def optimizer_line(recipe: Recipe, hidden_size: int) -> Line:
    """Optimizer, schedule and highest learning rate."""
    training = recipe.training
    peak = peak_learning_rate(training, hidden_size)
    return (
        "optimizer",
        f"{training.optim}, {training.lr_scheduler_type}, peak {peak:.3g} at update {training.warmup_steps:,}",
    )


def _batch_lines(recipe: Recipe, rows: Rows, processes: int) -> list[Line]:
    training = recipe.training
    sampler = token_sampler(recipe, rows, processes)
    per_epoch = len(sampler) // (processes * training.gradient_accumulation_steps)
    tokens = int(rows.lengths()[:, -1].sum()) // max(per_epoch, 1)
    return [
        ("rows used", f"{len(rows):,}, {counted(per_epoch, 'update')} per epoch"),
        ("tokens", f"about {tokens:,} target tokens per update, {sampler.padding():.1%} of a padded batch is padding"),
        end_line(training, planned_updates(training, per_epoch), per_epoch),
    ]


def _stream_lines(recipe: Recipe, stream: StreamedRows, processes: int) -> list[Line]:
    """The sources of a stream, and the mean length of its first rows."""
    training = recipe.training
    sources = mixture_sources(recipe.data)
    total = sum(source.weight for source in sources)
    lines = [("train", f"{source.path}, {source.weight / total:.1%} of the tokens, streamed") for source in sources]
    # Reads from the sources directly: filling the shuffle buffer would take long.
    lengths = [len(next(stream.mixture)) for _ in range(100)]
    per_step = training.tokens_per_batch * training.gradient_accumulation_steps * processes
    lines.append(("rows", f"{sum(lengths) / len(lengths):,.0f} tokens on average (of the first {len(lengths)})"))
    lines.append(("shuffling", f"buffer of {recipe.data.shuffle_buffer:,} rows"))
    lines.append(("tokens", f"at most {per_step:,} per update"))
    if training.max_steps is None:
        lines.append(("end", f"after {training.max_minutes:g} minutes of training"))
    else:
        tokens = f"{per_step * training.max_steps:,} tokens"
        lines.append(("end", f"after {counted(training.max_steps, 'update')}, at most {tokens}, or earlier"))
    return lines
