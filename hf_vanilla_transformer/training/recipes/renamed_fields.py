"""Field names that recipes do not have, and the fields to use instead. They appear in error messages only."""

from __future__ import annotations

from collections.abc import Container

# Former names, and names of transformers' TrainingArguments that are fields of another kind here.
_INSTEAD = {
    "attention": "attn_implementation",
    "backward_parent": "backward_base_model",
    "body": "backbone",
    "decoder_parent": "decoder_base_model",
    "parent": "base_model",
    "parent_format": "base_model_format",
    "adaptation.parent": "adaptation.base_model",
    "backbone.lora_places": "backbone.lora_target_modules",
    "checkpoint.every": "checkpoint.save_steps",
    "checkpoint.keep": "checkpoint.save_total_limit",
    "checkpoint.save_optimizer": "checkpoint.save_only_model",
    "evaluation.batch_size": "evaluation.per_device_eval_batch_size",
    "evaluation.every": "evaluation.eval_steps",
    "evaluation.keep": "evaluation.load_best_model_at_end",
    "evaluation.metric": "evaluation.metric_for_best_model",
    "evaluation.translate": "evaluation.predict_with_generate",
    "model.attention": "model.attn_implementation",
    "output.folder": "output.output_dir",
    "rates.factor": "rates.layerwise_lr_decay",
    "rates.schedule": "rates.lr_scheduler_type",
    "training.accumulation": "training.gradient_accumulation_steps",
    "training.batch_size": "training.per_device_train_batch_size",
    "training.bf16": "training.precision",
    "training.dataloader_workers": "training.dataloader_num_workers",
    "training.fp16": "training.precision",
    "training.log_every": "training.logging_steps",
    "training.mask_probability": "objective.mask_probability",
    "training.max_epochs": "training.num_train_epochs",
    "training.optimizer": "training.optim",
    "training.schedule": "training.lr_scheduler_type",
}
# How the value is written where it is not the same as before.
_VALUES = {
    "checkpoint.save_optimizer": ", with the opposite value",
    "evaluation.keep": ": true for `best`, false for `last`",
    "training.bf16": ": bf16",
    "training.fp16": ": fp16",
}


def renamed(name: str, fields: Container[str]) -> str | None:
    """The field to use instead of a former name, with the way its value is written, for an error message.

    Args:
        name: dotted name that does not exist.
        fields: dotted names of the recipe's fields and sections; the answer is one of them.
    """
    new = _INSTEAD.get(name)
    return f"{new}{_VALUES.get(name, '')}" if new is not None and new in fields else None
