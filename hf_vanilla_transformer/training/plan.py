"""What a recipe would do, without doing it: ``hf-vanilla train --dry-run``."""

from __future__ import annotations

from transformers import PreTrainedModel

from .batches import Rows
from .corpus import encode, get_tokenizer, load_corpus
from .model import build_model, check_model
from .recipes.mixture import mixture_sources
from .recipes.objective import OBJECTIVES, describe_objective
from .recipes.training_recipe import Recipe
from .streaming import StreamedRows, is_streamed
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
    streamed = is_streamed(recipe)
    model = build_model(recipe, tokenizer, device="meta" if recipe.model.start_from is None else None)
    lines = [("task", recipe.task), ("model", f"{type(model).__name__}, {model.num_parameters():,} parameters")]
    lines.append(("vocabulary", f"{len(tokenizer):,} tokens"))
    if recipe.model.initial_embeddings == "cooccurrence":
        lines.append(("embeddings", "from what tokens occur with, counted first"))
    for name in ("train", "validation", "test"):
        split = getattr(corpus, name)
        size = "none" if split is None else f"{len(split):,} rows"
        if name == "validation" and corpus.held_out:
            size += ", held out from the training text"
        if name != "train" or not streamed:
            lines.append((name, size))
    if streamed:
        lines += _stream(recipe, StreamedRows(recipe, tokenizer, corpus.held_out), processes)
    else:
        lines += _batches(recipe, encode(recipe, tokenizer, corpus.train, training=True), processes)
    lines.append(("memory", memory(recipe, model)))
    if recipe.task in OBJECTIVES.values():
        lines.append(("objective", describe_objective(recipe.task, recipe.objective, reverse=recipe.data.reverse)))
    training = recipe.training
    peak = peak_learning_rate(training, model.config.hidden_size)
    lines.append(
        ("optimizer", f"{training.optim}, {training.lr_scheduler_type}, peak {peak:.3g} at {training.warmup_steps:,}")
    )
    lines.append(("output", recipe.output.output_dir or "not set (--output FOLDER)"))
    return "\n".join(f"{name:14} {value}" for name, value in lines)


def _batches(recipe: Recipe, rows: Rows, processes: int) -> list[tuple[str, str]]:
    training = recipe.training
    sampler = token_sampler(recipe, rows, processes)
    per_epoch = len(sampler) // (processes * training.gradient_accumulation_steps)
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


def _stream(recipe: Recipe, stream: StreamedRows, processes: int) -> list[tuple[str, str]]:
    """What is known of a stream without reading it: its sources, and what its first batch holds."""
    training = recipe.training
    sources = mixture_sources(recipe.data)
    total = sum(source.weight for source in sources)
    lines = [("train", f"{source.path}, {source.weight / total:.1%} of the tokens, streamed") for source in sources]
    # Rows straight from the sources: the plan need not wait for the whole buffer to be filled.
    lengths = [len(next(stream.mixture)) for _ in range(100)]
    per_step = training.tokens_per_batch * training.gradient_accumulation_steps * processes
    lines.append(("rows", f"of {sum(lengths) / len(lengths):,.0f} tokens on average (the first {len(lengths)})"))
    lines.append(("shuffling", f"in a buffer of {recipe.data.shuffle_buffer:,} rows"))
    lines.append(("tokens", f"at most {per_step:,} an update"))
    if training.max_steps is None:
        lines.append(("end", f"after {training.max_minutes:g} minutes of training"))
    else:
        tokens = f"{per_step * training.max_steps:,} tokens"
        lines.append(("end", f"after {training.max_steps:,} updates, at most {tokens}, or earlier"))
    return lines


def memory(recipe: Recipe, model: PreTrainedModel) -> str:
    """An estimate of the memory that training takes on one process, in words.

    Weights, gradients and the optimizer's two moments are exact for Adam in float32. What the backward pass keeps of a
    token and a layer is about 14 vectors of the hidden size and 3 of the feed-forward's (Korthikanti et al. 2022,
    section 4, without the attention weights, which fused attention does not keep).
    """
    training, config = recipe.training, model.config
    count = model.num_parameters()
    # The moving averages are one or several more copies of the weights.
    copies = {"none": 0, "ema": 1, "last": training.average_last}[training.average]
    state = count * 4 * (4 + copies)
    layers = getattr(config, "encoder_layers", 0) + getattr(config, "decoder_layers", 0) or config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    width = 2 if training.precision in ("bf16", "fp16") else 4
    # With checkpointing only the input of each layer stays.
    kept = config.hidden_size if training.gradient_checkpointing else 14 * config.hidden_size + 3 * inner
    activations = training.tokens_per_batch * layers * kept * width
    return (
        f"about {(state + activations) / 2**30:.1f} GiB: {state / 2**30:.1f} state, {activations / 2**30:.1f} a batch"
    )
