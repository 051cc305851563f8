"""Training by recipe, on transformers' Trainer."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Recipe": "recipes.training_recipe",
        "TrainingResult": "run",
        "average_checkpoints": "checkpoints",
        "load_recipe": "recipes.training_recipe",
        "recipe_names": "recipes.reading",
        "run_training": "training_run",
    },
)
