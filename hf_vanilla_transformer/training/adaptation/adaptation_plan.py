"""The plan of an adaptation: ``hf-vanilla adapt MODEL --dry-run``."""

from __future__ import annotations

from pathlib import Path

from ...wording import counted
from ..collators import collator
from ..finetuning.base_model import describe, lineage
from ..plan import end_line, memory_line, output_line, plan_table, token_memory
from ..recipes.objective import describe_objective
from ..recipes.training_recipe import Recipe
from ..trainer import planned_updates
from ..training_plan import optimizer_line
from .adaptation_run import AdaptationRun


def plan(recipe: Recipe, *, processes: int = 1) -> str:
    """Opens the base model and reads all text, then describes the adaptation as a table; writes no file.

    Args:
        recipe: of the adaptation.
        processes: number of training processes.

    Raises:
        ValueError, FileNotFoundError: the run itself would fail for the same reason.
    """
    adaptation, training = recipe.adaptation, recipe.training
    run = AdaptationRun.prepare(recipe, Path(), measure=False)
    model, corpus, general = run.model, run.corpus, run.general
    per_epoch = len(run.order(recipe, run.train_rows, processes)) // (processes * training.gradient_accumulation_steps)
    lines = [
        ("base model", describe(lineage(adaptation.base_model))),
        ("model", f"{type(model).__name__}, {model.num_parameters():,} parameters, all trained"),
        ("objective", describe_objective(recipe.task, recipe.objective, reverse=recipe.data.reverse)),
        ("vocabulary", f"{len(run.tokenizer):,} tokens"),
        (
            "domain",
            f"{recipe.data.path}: {counted(len(corpus.train), 'text')}, validated on {len(corpus.validation):,}",
        ),
    ]
    if adaptation.new_words:
        new_words, new_tokens = run.facts_before.get("new_words", []), run.facts_before["new_tokens"]
        lines.append(("new words", f"{len(new_words):,}, as {len(new_tokens):,} new tokens"))
    if adaptation.embeddings == "cooccurrence":
        lines.append(("embeddings", "rotated towards the co-occurrence directions of the domain's tokens"))
    if general is None:
        lines.append(("general text", "none: forgetting is not measured"))
    else:
        measured = f"validated on {counted(len(general.validation), 'text')}"
        replayed = f", {adaptation.replay:.0%} of the training tokens" if adaptation.replay else ", not replayed"
        lines.append(("general text", f"{adaptation.general.path}: {measured}{replayed}"))
    lines.append(("L2-SP", f"{adaptation.l2_sp:g}" if adaptation.l2_sp else "none"))
    tokens = int(run.train_rows.lengths().sum())
    collate = collator(recipe, run.tokenizer)
    lines += [
        ("tokens", f"{tokens:,} in all training texts, at most {training.tokens_per_batch:,} per batch"),
        end_line(training, planned_updates(training, per_epoch), per_epoch),
        optimizer_line(recipe, model.config.hidden_size),
        ("evaluation", f"every {recipe.evaluation.eval_steps:,} updates, on domain and general text"),
        # L2-SP keeps a copy of the start weights.
        memory_line(token_memory(recipe, model, run.train_rows, collate, copies=int(adaptation.l2_sp > 0))),
        output_line(recipe),
    ]
    return plan_table(lines)
