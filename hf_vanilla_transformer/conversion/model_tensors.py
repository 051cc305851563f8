"""Building models of either side, and their tensors by name."""

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
    """Our class of a head."""
    modeling = importlib.import_module(f"..models.modeling_{family.stack}", __package__)
    return getattr(modeling, head.ours)


def transformers_class(head: Head) -> type[PreTrainedModel]:
    """The class of transformers of a head."""
    return getattr(transformers, head.theirs)


def model_rules(family: Family, head: Head, theirs_config: Any, pooler: bool) -> tuple[Rule, ...]:
    """The rules of all tensors of one model, full names on both sides.

    Args:
        theirs_config: the family's configuration, which says how many layers there are.
        pooler: whether there is BERT's pooler.
    """
    rules = family.rules(theirs_config)
    if pooler:
        rules += module("pooler.dense", "pooler.dense")
    if head.base:
        return rules
    return within(rules, "model.", family.base_prefix) + head.rules


def build(model_class: type[PreTrainedModel], config: Any, pooler: bool | None) -> PreTrainedModel:
    """A model to be filled. The caller's random numbers stay as they were.

    Args:
        pooler: for a class that has BERT's pooler or not as one asks, whether it does; None for other classes.
    """
    with torch.random.fork_rng(devices=[]):
        return model_class(config) if pooler is None else model_class(config, add_pooling_layer=pooler)


def load(
    model: PreTrainedModel, tensors: Mapping[str, torch.Tensor], like: PreTrainedModel, computed: tuple[str, ...] = ()
) -> None:
    """Copy `tensors` into `model` and put it where `like` is: type, device, training mode.

    Args:
        computed: endings of names that the model fills itself and that `tensors` need not contain.

    Raises:
        ValueError: a tensor is missing, superfluous, or of another shape: the configuration and the weights disagree.
    """
    model.to(device=like.device, dtype=like.dtype)
    expected = model.state_dict()
    missing = [name for name in expected if name not in tensors and not name.endswith(computed)]
    superfluous = [name for name in tensors if name not in expected]
    if missing or superfluous:
        raise ValueError(
            f"{type(model).__name__} has {missing or 'no tensor'} that the given model lacks, and lacks "
            f"{superfluous or 'none'} that it has. Was a layer added to or removed from the given model?"
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"{name} has the shape {tuple(value.shape)}, but the configuration says {tuple(expected[name].shape)}. "
                "Set the configuration of the given model to what its weights are."
            )
    model.load_state_dict({**expected, **tensors})
    model.train(like.training)
