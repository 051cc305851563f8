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

# What may differ between a forward and a backward backbone that stand in one model: it decides no weight.
MAY_DIFFER = {"dropout", "attention_dropout", "activation_dropout", "classifier_dropout", "label_smoothing"}
MAY_DIFFER |= {"initializer", "initializer_range", "use_cache", "classifier_pooling", "classifier_direction"}


def classification_model(
    recipe: FinetuneRecipe, base_model: BaseModel, names: dict[int, str], problem_type: str | None
) -> PreTrainedModel:
    """The head of `AutoModelForSequenceClassification`, with one backbone or two.

    Args:
        names: of the outputs, by their numbers.
        problem_type: as transformers calls it.

    Raises:
        ValueError: a pooling that the stack does not have, or a `backward_base_model` that does not match.
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
    """A model of the base model's stack with a new head, its weights drawn by `training.seed`, and the base model's
    backbone.

    Args:
        head: which head, by the Auto class that finds it, or its own class where no Auto class does.
        names: of the labels, by the number of the output; None for a head without labels.
        **fields: more fields of the configuration.

    Raises:
        ValueError: the base model reads texts backwards, which only a label per text can use.
    """
    if base_model.reads_backward or recipe.backward_base_model is not None:
        which = recipe.backward_base_model or base_model.source
        raise ValueError(
            f"{which} reads texts backwards, which only task: classification can use, not task: {recipe.task}; start "
            "from a model that reads forwards."
        )
    return _headed(recipe, base_model, head, names, **fields)


def pooling_of(recipe: FinetuneRecipe, base_model: BaseModel) -> str:
    """What a head of a label per text reads.

    Raises:
        ValueError: the first token of a decoder, which has seen nothing but itself.
    """
    pooling = recipe.head.pooling
    if pooling == "default":
        return "first" if base_model.stack == "encoder" else "last"
    if pooling == "first" and base_model.stack != "encoder":
        raise ValueError(
            "head.pooling: first is for an encoder; the first token of a decoder has seen nothing but itself. Take "
            "last, mean or concat."
        )
    return pooling


def check_dropout(recipe: FinetuneRecipe, model: PreTrainedModel) -> None:
    """Raises ValueError where `head.dropout` is set and the head has none, so that it would change nothing."""
    if recipe.head.dropout is not None and not isinstance(getattr(model, "dropout", None), nn.Dropout):
        raise ValueError(
            f"head.dropout={recipe.head.dropout} would change nothing: {type(model).__name__} has no dropout before "
            "its head; leave it out. Dropout inside of the backbone is set by head.config: {dropout: 0.1}."
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
            f"backward_base_model={recipe.backward_base_model!r} is for causal language models, which read in "
            "one direction; "
            f"the base model {base_model.source} is an {base_model.stack.replace('_', '-')}, which reads both already."
        )
    if base_model.reads_backward:
        raise ValueError(
            f"The base model {base_model.source} itself reads backwards: give the forward one as base model."
        )
    backward = open_base_model(
        recipe.backward_base_model, random_weights=recipe.from_scratch, attention=recipe.attn_implementation
    )  # fmt: skip
    if backward.stack != "decoder":
        raise ValueError(f"backward_base_model={recipe.backward_base_model!r} is no causal language model.")
    if backward.known and not backward.reads_backward:
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} was trained on texts read forwards (its recipe has "
            "data.reverse: false); train one with data.reverse: true."
        )
    if backward.tokenizer.get_vocab() != base_model.tokenizer.get_vocab():
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} has another vocabulary than {base_model.source}, "
            "but one model "
            "reads one row of tokens: train both with the same tokenizer (tokenizer.path)."
        )
    wrong = differences(base_model.config, backward.config, VanillaDecoderConfig, MAY_DIFFER)
    if wrong:
        raise ValueError(
            f"backward_base_model={recipe.backward_base_model!r} is another kind of model than {base_model.source}: "
            f"{'; '.join(wrong)}."
        )
    return backward


def differences(first: PreTrainedConfig, second: PreTrainedConfig, kind: type, may_differ: set[str]) -> list[str]:
    """What keeps two backbones from standing in one model: fields of `kind` in which they differ, in words."""
    inherited = {entry.name for entry in dataclasses.fields(PreTrainedConfig)}
    names = {entry.name for entry in dataclasses.fields(kind)} - inherited - may_differ
    return [
        f"{name} is {getattr(second, name)!r} instead of {getattr(first, name)!r}"
        for name in sorted(names)
        if getattr(first, name) != getattr(second, name)
    ]
