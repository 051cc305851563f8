"""A base model's backbone with a new head on top."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from ...models.configuration_vanilla import VanillaDecoderConfig
from ..recipes.finetuning_recipe import FinetuneRecipe
from .base_model import BaseModel, model_class, open_base_model

# Fields in which two backbones of one model may differ, because no weight depends on them.
MAY_DIFFER = {"dropout", "attention_dropout", "activation_dropout", "classifier_dropout", "label_smoothing"}
MAY_DIFFER |= {"initializer", "initializer_range", "use_cache", "classifier_pooling", "classifier_direction"}


def classification_model(
    recipe: FinetuneRecipe, base_model: BaseModel, names: dict[int, str], problem_type: str | None
) -> PreTrainedModel:
    """A model of `AutoModelForSequenceClassification`, with one backbone or with a forward and a backward backbone.

    Args:
        recipe: decides the pooling, the dropout and the backward base model.
        base_model: its backbone is used.
        names: label of each output, by its number.
        problem_type: of transformers' configurations.

    Raises:
        ValueError: the stack does not support the pooling, or `backward_base_model` does not match.
    """
    fields: dict[str, Any] = {"problem_type": problem_type, "classifier_pooling": pooling_of(recipe, base_model)}
    backward = None
    if base_model.stack == "decoder":
        fields["classifier_direction"] = "backward" if base_model.reads_backward else "forward"
    if recipe.backward_base_model is not None:
        backward = _open_backward(recipe, base_model)
        fields["classifier_direction"] = "both"
    model = _headed(recipe, base_model, "AutoModelForSequenceClassification", names, **fields)
    if backward is not None:
        backward.put_into(model.backward_model)
    return model


def head_model(
    recipe: FinetuneRecipe,
    base_model: BaseModel,
    head: str | type[PreTrainedModel],
    names: dict[int, str] | None = None,
    **fields: Any,
) -> PreTrainedModel:
    """The base model's backbone with a new head, whose random weights depend on `training.seed`.

    Args:
        recipe: decides dropout and further fields of the head.
        base_model: its backbone is used.
        head: name of the Auto class that loads the model, or the model class if there is no Auto class.
        names: label of each output, by its number; None for a head without labels.
        **fields: further fields of the configuration.

    Raises:
        ValueError: the base model reads texts backwards, which only text classification supports.
    """
    if base_model.reads_backward or recipe.backward_base_model is not None:
        which = recipe.backward_base_model or base_model.source
        raise ValueError(
            f"{which} reads texts backwards, which task: {recipe.task} does not support, only task: classification; "
            "choose a base model that reads forwards."
        )
    return _headed(recipe, base_model, head, names, **fields)


def pooling_of(recipe: FinetuneRecipe, base_model: BaseModel) -> str:
    """The pooling of a head with one label per text.

    Raises:
        ValueError: `head.pooling` is ``first`` for a decoder, whose first token attends only to itself.
    """
    pooling = recipe.head.pooling
    if pooling == "default":
        return "first" if base_model.stack == "encoder" else "last"
    if pooling == "first" and base_model.stack != "encoder":
        raise ValueError(
            "head.pooling: first is for encoders only, because the first token of a decoder attends only to itself. "
            "Choose last, mean or concat."
        )
    return pooling


def check_dropout(recipe: FinetuneRecipe, model: PreTrainedModel) -> None:
    """Raises ValueError if `head.dropout` is set, but the head has no dropout."""
    if recipe.head.dropout is not None and not isinstance(getattr(model, "dropout", None), nn.Dropout):
        raise ValueError(
            f"head.dropout={recipe.head.dropout} has no effect: {type(model).__name__} has no dropout before its head; "
            "remove it. Set the dropout of the backbone with head.config: {dropout: 0.1}."
        )


def _headed(
    recipe: FinetuneRecipe,
    base_model: BaseModel,
    head: str | type[PreTrainedModel],
    names: dict[int, str] | None,
    **fields: Any,
) -> PreTrainedModel:
    if names is not None:
        fields |= {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    if recipe.head.dropout is not None:
        fields["classifier_dropout"] = recipe.head.dropout
    config = base_model.head_config(**{**recipe.head.config, **fields})
    torch.manual_seed(recipe.training.seed)
    head_class = model_class(base_model, head) if isinstance(head, str) else head
    model = head_class(config)
    check_dropout(recipe, model)
    base_model.put_into(model.base_model)
    return model


def _open_backward(recipe: FinetuneRecipe, base_model: BaseModel) -> BaseModel:
    if base_model.stack != "decoder":
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} is for causal language models, but the base model "
            f"{base_model.source} is an {base_model.stack.replace('_', '-')}, which reads both directions; remove it."
        )
    if base_model.reads_backward:
        raise ValueError(f"base_model={base_model.source!r} reads backwards: set base_model to the forward model.")
    backward = open_base_model(
        recipe.backward_base_model, random_weights=recipe.from_scratch, attention=recipe.attn_implementation
    )  # fmt: skip
    if backward.stack != "decoder":
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} is not a causal language model; choose one."
        )
    if backward.known and not backward.reads_backward:
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} reads forwards (its recipe has data.reverse: false); "
            "train one with data.reverse: true."
        )
    if backward.tokenizer.get_vocab() != base_model.tokenizer.get_vocab():
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} has another vocabulary than {base_model.source}: "
            "train both with the same tokenizer (tokenizer.path)."
        )
    different = differences(base_model.config, backward.config, VanillaDecoderConfig, MAY_DIFFER)
    if different:
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} does not match {base_model.source}: "
            f"{'; '.join(different)}. Train both with the same model.config."
        )
    return backward


def differences(first: PreTrainedConfig, second: PreTrainedConfig, kind: type, may_differ: set[str]) -> list[str]:
    """Fields of the configuration class `kind` that differ and must not, each as text for an error message."""
    inherited = {entry.name for entry in dataclasses.fields(PreTrainedConfig)}
    names = {entry.name for entry in dataclasses.fields(kind)} - inherited - may_differ
    return [
        f"{name} is {getattr(second, name)!r} instead of {getattr(first, name)!r}"
        for name in sorted(names)
        if getattr(first, name) != getattr(second, name)
    ]
