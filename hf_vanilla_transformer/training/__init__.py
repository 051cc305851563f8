"""Training by recipe, on transformers' Trainer."""

from .checkpoints import average_checkpoints
from .recipes.reading import recipe_names
from .recipes.training_recipe import Recipe, load_recipe
from .run import TrainingResult
from .training_run import run_training

__all__ = ["Recipe", "TrainingResult", "average_checkpoints", "load_recipe", "recipe_names", "run_training"]
