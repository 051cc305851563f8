"""A parent's body with a new head on top."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from .parent import Parent, model_class
from .recipe import FinetuneRecipe


def classification_model(
    recipe: FinetuneRecipe, parent: Parent, names: dict[int, str], problem_type: str | None, **fields: Any
) -> PreTrainedModel:
    """The head of `AutoModelForSequenceClassification`.

    Args:
        names: of the outputs, by their numbers.
        problem_type: as transformers calls it.
        **fields: more fields of the configuration.
    """
    pooling = recipe.head.pooling
    if pooling != "default":
        fields["classifier_pooling"] = pooling
    return head_model(recipe, parent, "AutoModelForSequenceClassification", names, problem_type=problem_type, **fields)


def head_model(
    recipe: FinetuneRecipe, parent: Parent, auto_class: str, names: dict[int, str] | None = None, **fields: Any
) -> PreTrainedModel:
    """A model of the parent's stack with a new head, its weights drawn by `training.seed`, and the parent's body.

    Args:
        auto_class: which head, by the Auto class that finds it.
        names: of the labels, by the number of the output; None for a head without labels.
        **fields: more fields of the configuration.
    """
    if names is not None:
        fields |= {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    if recipe.head.dropout is not None:
        fields["classifier_dropout"] = recipe.head.dropout
    config = parent.head_config(**{**recipe.head.config, **fields})
    torch.manual_seed(recipe.training.seed)
    model = model_class(parent, auto_class)(config)
    parent.put_into(model.base_model)
    return model
