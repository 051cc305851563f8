"""Fine-tuning: trains a base model's backbone with a head for a task, by the methods of Howard and Ruder 2018."""

from ...lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "FinetuneRecipe": ".recipes.finetuning_recipe",
        "FinetuneResult": "finetuning_run",
        "GradualUnfreezing": "unfreezing",
        "Prediction": "task",
        "Task": "task",
        "TrainableRecord": "unfreezing",
        "discriminative_groups": "parameter_groups",
        "freeze_backbone": "parameter_groups",
        "load_finetune_recipe": ".recipes.finetuning_recipe",
        "open_base_model": "base_model",
        "run_finetuning": "finetuning_run",
        "trainable_table": "unfreezing",
    },
)
