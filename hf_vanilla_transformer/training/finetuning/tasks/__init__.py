"""The tasks of `hf-vanilla finetune`, one per file."""

from __future__ import annotations

import importlib

from ...recipes.finetuning_recipe import FinetuneRecipe
from ..task import Task

# Class of each task in a recipe, as `file.Class`; imported on first use.
TASKS = {
    "classification": "classification.Classification",
    "token_classification": "token_classification.TokenClassification",
    "dependency_parsing": "dependency_parsing.DependencyParsing",
    "question_answering": "question_answering.QuestionAnswering",
    "multiple_choice": "multiple_choice.MultipleChoice",
    "sequence_to_sequence": "sequence_to_sequence.SequenceToSequence",
}


def make_task(recipe: FinetuneRecipe) -> Task:
    """The task of a validated recipe."""
    file, name = TASKS[recipe.task].split(".")
    return getattr(importlib.import_module(f".{file}", __package__), name)(recipe)


__all__ = ["TASKS", "make_task"]
