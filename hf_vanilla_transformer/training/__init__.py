"""Training by recipe, on transformers' Trainer."""

from .averaging import average_checkpoints
from .recipes.reading import recipe_names
from .recipes.training_recipe import Recipe, load_recipe
from .run import TrainingResult, run_training

__all__ = ["Recipe", "TrainingResult", "average_checkpoints", "load_recipe", "recipe_names", "run_training"]
