"""The recipe of `train`, `pretrain` and `adapt`: every decision about a training, as nested dataclasses.

The fields are the one place where a default, a type and a bound are written. A recipe file contains only what differs,
the command line overrides any field by its dotted name (`--training.learning_rate 1e-3`), and the complete recipe is
saved with the model.
"""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from huggingface_hub.dataclasses import strict

from .adaptation_recipe import AdaptationRecipe, problems_of_adaptation
from .distributed_recipe import DistributedRecipe, problems_of_distributed
from .mixture import mixture_sources
from .objective import OBJECTIVES, ObjectiveRecipe, problems_of_objective
from .reading import WritableRecipe, read_recipe
from .sections import CheckpointRecipe, OutputRecipe, problems_of_sections
from .text_sections import (
    DataRecipe,
    EvaluationRecipe,
    GenerationRecipe,
    ModelRecipe,
    TokenizerRecipe,
    TrainingRecipe,
)


@strict
@dataclass
class Recipe(WritableRecipe):
    """The complete recipe of a training."""

    task: Literal["translation", "masked_lm", "causal_lm", "denoising", "span"] = "translation"
    """Decides which configuration class, head, collator and metrics are used."""
    description: str = ""
    """What the recipe trains, in a sentence or two."""
    model: ModelRecipe = field(default_factory=ModelRecipe)
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    adaptation: AdaptationRecipe = field(default_factory=AdaptationRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    generation: GenerationRecipe = field(default_factory=GenerationRecipe)
    checkpoint: CheckpointRecipe = field(default_factory=CheckpointRecipe)
    distributed: DistributedRecipe = field(default_factory=DistributedRecipe)
    output: OutputRecipe = field(default_factory=OutputRecipe)


def load_recipe(name_or_path: str | Path | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe by name or from a file, then applies overrides and checks the result; see `read_recipe`."""
    recipe = read_recipe(Recipe, name_or_path, overrides)
    validate(recipe)
    return recipe


def validate(recipe: Recipe) -> None:
    """Checks the fields against each other.

    Raises:
        ValueError: all contradictions, one a line, each with its remedy.
    """
    problems = [
        *problems_of_sections(recipe.training, recipe.evaluation, recipe.checkpoint),
        *problems_of_distributed(recipe.distributed, recipe.training),
        *_problems_of_layout(recipe),
        *_problems_of_schedule(recipe.training),
        *_problems_of_embeddings(recipe),
        *problems_of_objective(recipe.task, recipe.objective),
        *problems_of_adaptation(
            recipe.adaptation,
            model=recipe.model,
            data=recipe.data,
            training=recipe.training,
            evaluation=recipe.evaluation,
        ),
        *_problems_of_data(recipe),
        *_problems_of_evaluation(recipe),
    ]
    if problems:
        raise ValueError("\n".join(problems))
    mixture_sources(recipe.data)


def _problems_of_layout(recipe: Recipe) -> list[str]:
    """What cannot be trained while the weights are divided among processes."""
    if recipe.distributed.sharded and recipe.adaptation.l2_sp:
        return [
            f"adaptation.l2_sp={recipe.adaptation.l2_sp} compares whole weights with those of the base model: set "
            "distributed.fsdp_size and distributed.tp_size to 1 (DDP), or adaptation.l2_sp to 0."
        ]
    return []


def _problems_of_schedule(training: TrainingRecipe) -> list[str]:
    """Contradictions between the fields of the learning rate."""
    kind, rate = training.lr_scheduler_type, training.learning_rate
    problems = []
    if rate is None and kind != "noam":
        problems.append(f"training.lr_scheduler_type={kind!r} needs training.learning_rate; only `noam` has a peak.")
    if rate is not None and kind == "noam":
        problems.append(
            f"training.learning_rate={rate} does not apply to training.lr_scheduler_type='noam', whose peak follows "
            "from width and warmup: scale it with training.learning_rate_scale, or use inverse_sqrt."
        )
    if kind in ("linear", "cosine"):
        if training.schedule_by == "minutes" and training.max_minutes is None:
            problems.append("training.schedule_by='minutes' needs training.max_minutes, where the schedule ends.")
        if training.schedule_by == "steps" and training.max_steps is None and training.num_train_epochs is None:
            problems.append(
                f"training.lr_scheduler_type={kind!r} ends at the last update: set training.max_steps or "
                "training.num_train_epochs, or training.schedule_by: minutes."
            )
    return problems


def _problems_of_embeddings(recipe: Recipe) -> list[str]:
    """Contradictions between `model.initial_embeddings` and other fields."""
    problems = []
    if recipe.model.initial_embeddings == "cooccurrence":
        if recipe.task != "translation" and (recipe.data.streaming or recipe.data.mixture):
            problems.append(
                "model.initial_embeddings='cooccurrence' counts tokens before the first update, so it needs the text "
                "in memory: leave out data.streaming and data.mixture, or set it to random."
            )
        if recipe.model.start_from is not None:
            problems.append(
                f"model.start_from={recipe.model.start_from!r} has embeddings already, which "
                "model.initial_embeddings='cooccurrence' would replace: leave out one of the two."
            )
    return problems


def _problems_of_data(recipe: Recipe) -> list[str]:
    """Contradictions between the fields of the data, the tokenizer and the task."""
    data, task, training, dropout = recipe.data, recipe.task, recipe.training, recipe.tokenizer.dropout
    problems = []
    if data.reverse and task != "causal_lm":
        problems.append(f"data.reverse=true is for task='causal_lm', not for task={task!r}; set it to false.")
    if dropout and (task != "translation" or training.dataloader_num_workers):
        problems.append(
            f"tokenizer.dropout={dropout} is for task='translation' with training.dataloader_num_workers=0, not for "
            f"task={task!r} with {training.dataloader_num_workers} workers; set it to null."
        )
    if task not in OBJECTIVES.values():
        for name, default in (("mixture", []), ("hold_out", 0), ("sample_by", "line")):
            if getattr(data, name) != default:
                problems.append(
                    f"data.{name}={getattr(data, name)!r} is for language models, not for task={task!r}; leave it out."
                )
    elif (data.streaming or data.mixture) and training.num_train_epochs is not None:
        problems.append(
            f"training.num_train_epochs={training.num_train_epochs:g} cannot be counted in a stream, whose length is "
            "unknown: set training.max_steps or training.max_minutes, and training.num_train_epochs to null."
        )
    return problems


def _problems_of_evaluation(recipe: Recipe) -> list[str]:
    """Contradictions between the fields of the evaluation and the task."""
    evaluation = recipe.evaluation
    problems = []
    metric = evaluation.metric_for_best_model
    if metric != "loss" and (recipe.task != "translation" or not evaluation.predict_with_generate):
        problems.append(
            f"evaluation.metric_for_best_model={metric!r} needs translations: set task to translation and "
            "evaluation.predict_with_generate to true, or evaluation.metric_for_best_model to loss."
        )
    if evaluation.patience is not None and evaluation.eval_steps is None:
        problems.append(
            f"evaluation.patience={evaluation.patience} counts evaluations: set evaluation.eval_steps, for example to "
            "500."
        )
    return problems


__all__ = ["Recipe", "load_recipe", "validate"]
