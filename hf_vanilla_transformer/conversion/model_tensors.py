"""Build models of both sides and load their tensors."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from .family import Family, Head
from .tensor_rules import Rule, module, within

__all__ = ["build", "load", "model_rules", "our_class", "transformers_class"]


def our_class(family: Family, head: Head) -> type[PreTrainedModel]:
    """Our class for a head."""
    modeling = importlib.import_module(f"..models.modeling_{family.stack}", __package__)
    return getattr(modeling, head.ours)


def transformers_class(head: Head) -> type[PreTrainedModel]:
    """The class of transformers for a head."""
    return getattr(transformers, head.theirs)


def model_rules(family: Family, head: Head, their_config: Any, pooler: bool) -> tuple[Rule, ...]:
    """The rules of all tensors of a model, with full names on both sides.

    Args:
        family: the family.
        head: the head.
        their_config: the family's configuration, for the number of layers.
        pooler: whether the model has BERT's pooler.
    """
    rules = family.rules(their_config)
    if pooler:
        rules += module("pooler.dense", "pooler.dense")
    if head.base:
        return rules
    return within(rules, "model.", family.base_prefix) + head.rules


def build(model_class: type[PreTrainedModel], config: Any, pooler: bool | None) -> PreTrainedModel:
    """A model with random weights. The global random state is not changed.

    Args:
        model_class: the class.
        config: its configuration.
        pooler: value of `add_pooling_layer` for classes with this argument; None for other classes.
    """
    with torch.random.fork_rng(devices=[]):
        return model_class(config) if pooler is None else model_class(config, add_pooling_layer=pooler)


def load(
    model: PreTrainedModel, tensors: Mapping[str, torch.Tensor], like: PreTrainedModel, computed: tuple[str, ...] = ()
) -> None:
    """Copies `tensors` into `model`, and gives it the type, device and training mode of `like`.

    Args:
        model: the model to fill.
        tensors: its weights by name.
        like: the original model.
        computed: suffixes of names that the model computes itself; `tensors` may lack them.

    Raises:
        ValueError: a tensor is missing or unexpected, or has another shape than the configuration requires.
    """
    model.to(device=like.device, dtype=like.dtype)
    expected = model.state_dict()
    missing = [name for name in expected if name not in tensors and not name.endswith(computed)]
    superfluous = [name for name in tensors if name not in expected]
    if missing or superfluous:
        raise ValueError(
            f"The tensors do not match {type(model).__name__}: missing {missing or 'none'}, unexpected "
            f"{superfluous or 'none'}. Undo the removal or addition of layers in the original model."
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"{name} has the shape {tuple(value.shape)}, but the configuration requires "
                f"{tuple(expected[name].shape)}. Correct the configuration of the original model."
            )
    model.load_state_dict({**expected, **tensors})
    model.train(like.training)
