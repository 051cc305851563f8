"""What an adaptation would do, without doing it: ``hf-vanilla adapt MODEL --dry-run``."""

from __future__ import annotations

from ..finetuning.base_model import describe, lineage
from ..plan import memory
from ..recipes.objective import describe_objective
from ..recipes.training_recipe import Recipe
from ..trainer import UNLIMITED_STEPS, peak_learning_rate, planned_steps
from .adaptation_run import extend, load_texts, training_rows
from .embeddings import extend_embeddings
from .language_model import open_language_model


def plan(recipe: Recipe, *, processes: int = 1) -> str:
    """Opens the base model and reads all text, then describes the adaptation as a table.

    Args:
        recipe: what would be done.
        processes: how many there would be.

    Raises:
        ValueError, FileNotFoundError: what would stop the run as well.
    """
    adaptation, training = recipe.adaptation, recipe.training
    base_model = open_language_model(recipe)
    corpus, general = load_texts(recipe)
    extended = extend(recipe, base_model.tokenizer, corpus)
    tokenizer = base_model.tokenizer if extended is None else extended.tokenizer
    if extended is not None:
        extend_embeddings(base_model.model, extended.pieces)
    rows, order = training_rows(recipe, tokenizer, corpus, general)
    sampler = order(recipe, rows, processes)
    per_epoch = len(sampler) // (processes * training.gradient_accumulation_steps)
    steps = planned_steps(recipe, per_epoch)
    peak = peak_learning_rate(training, base_model.model.config.hidden_size)
    lines = [
        ("base model", describe(lineage(adaptation.base_model))),
        (
            "model",
            f"{type(base_model.model).__name__}, {base_model.model.num_parameters():,} parameters, all of them trained",
        ),
        ("objective", describe_objective(recipe.task, recipe.objective, reverse=recipe.data.reverse)),
        ("vocabulary", f"{len(tokenizer):,} tokens"),
        ("domain", f"{recipe.data.path}: {len(corpus.train):,} texts, measured on {len(corpus.validation):,}"),
    ]
    if extended is not None:
        lines.append(("new words", f"{len(extended.words):,}, which take {len(extended.pieces):,} tokens"))
    if adaptation.embeddings == "cooccurrence":
        lines.append(("embeddings", "in the directions that the domain's texts give their tokens, counted first"))
    if general is None:
        lines.append(("general text", "none, so that forgetting is not measured"))
    else:
        measured = f"measured on {len(general.validation):,} texts"
        replayed = f", {adaptation.replay:.0%} of the training tokens" if adaptation.replay else ", not replayed"
        lines.append(("general text", f"{adaptation.general.path}: {measured}{replayed}"))
    copy = base_model.model.num_parameters() * 4 / 2**30
    held = f"{adaptation.l2_sp:g}, with a copy of the base model's weights ({copy:.1f} GiB) in memory"
    lines.append(("L2-SP", held if adaptation.l2_sp else "none"))
    lines.append(
        ("tokens", f"{int(rows.lengths().sum()):,} in all texts, at most {training.tokens_per_batch:,} a batch")
    )
    if steps == UNLIMITED_STEPS:
        lines.append(("end", f"after {training.max_minutes:g} minutes of training"))
    else:
        lines.append(("end", f"after {steps:,} updates, {steps / max(per_epoch, 1):.1f} epochs, or earlier"))
    lines.append(
        ("optimizer", f"{training.optim}, {training.lr_scheduler_type}, peak {peak:.3g} at {training.warmup_steps:,}")
    )
    lines.append(("evaluation", f"every {recipe.evaluation.eval_steps:,} updates, on domain and general text"))
    lines.append(("memory", memory(recipe, base_model.model)))
    lines.append(("output", recipe.output.output_dir or "not set (--output FOLDER)"))
    return "\n".join(f"{name:14} {value}" for name, value in lines)
