"""`from_transformers`: a model of transformers as a model of ours, computing the same function."""

from __future__ import annotations

import copy
import logging
from typing import Any

from transformers import PreTrainedModel

from .families import FAMILIES
from .family import Family, Head
from .model_tensors import build, load, model_rules, our_class
from .refusals import why_not_family
from .tensor_rules import import_tensors

logger = logging.getLogger(__name__)

# What every configuration of transformers has, and what belongs to a model rather than to its family.
CARRIED_FIELDS = ("id2label", "label2id", "problem_type", "return_dict", "output_hidden_states")


def from_transformers(model: PreTrainedModel) -> PreTrainedModel:
    """A model of transformers as one of ours: same logits, same gradients, same generated tokens.

    Works for the families in `conversion/families/` (docs/conversion.md has the table): the bare model and every head
    that our stack has too. Weights are copied; type, device, training mode and generation settings are kept.

    ```python
    ours = from_transformers(AutoModelForSeq2SeqLM.from_pretrained("Helsinki-NLP/opus-mt-en-de"))
    ```

    Args:
        model: the model; it stays as it is.

    Raises:
        ValueError: a family, a class or a configuration that our models do not have, with what works instead.
    """
    family = _family(model)
    head = _head(family, model)
    refuse_unreadable_weights(model)
    refuse_other_functions(family, model.config)
    _warn_of_training_differences(family, head, model.config)
    config = _our_config(family, head, model.config)

    theirs = model.state_dict()
    # The bare encoder comes with or without a pooler; heads have one or not by their class.
    pooler = "pooler.dense.weight" in theirs if head.base else head.pooler
    bare_encoder = head.base and family.stack == "vanilla_encoder"
    ours = build(our_class(family, head), config, pooler if bare_encoder else None)
    rules = model_rules(family, head, model.config, pooler)
    tensors = import_tensors(rules, theirs, model.config)
    load(ours, tensors, like=model)
    if ours.can_generate() and getattr(model, "generation_config", None) is not None:
        ours.generation_config = copy.deepcopy(model.generation_config)
    return ours


def _family(model: PreTrainedModel) -> Family:
    model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if model_type not in FAMILIES:
        raise ValueError(why_not_family(model_type))
    return FAMILIES[model_type]


def _head(family: Family, model: PreTrainedModel) -> Head:
    names = [base.__name__ for base in type(model).__mro__]
    for name in names:
        for head in family.heads:
            if head.theirs == name:
                return head
    raise ValueError(
        f"{names[0]} has no counterpart among our models. Of {family.model_type} these convert: "
        f"{', '.join(head.theirs for head in family.heads)}."
    )


def refuse_unreadable_weights(model: PreTrainedModel) -> None:
    """Raise ValueError for a model whose tensors are not the numbers that its layers multiply with."""
    if getattr(model.config, "quantization_config", None) is not None:
        raise ValueError(
            f"The weights of this {type(model).__name__} are quantized (config.quantization_config is set); load the "
            "model without quantization."
        )
    empty = next((name for name, tensor in model.state_dict().items() if tensor.is_meta), None)
    if empty is not None:
        raise ValueError(
            f"{empty} is on the meta device and has no values (offloaded, or never loaded); load all of it to one "
            "device."
        )


def refuse_other_functions(family: Family, config: Any) -> None:
    """Raise ValueError for a configuration of the family that computes what our models do not."""
    for name, value in family.demands.items():
        actual = getattr(config, name, value)
        if actual is not None and actual != value:
            raise ValueError(
                f"{type(config).__name__}.{name}={actual!r} computes what our models do not; only {value!r} converts."
            )
    for first, second in family.equal:
        if getattr(config, first) != getattr(config, second):
            raise ValueError(
                f"{type(config).__name__} has {first}={getattr(config, first)} but {second}={getattr(config, second)}; "
                "our models have one value for both, so only a model in which they agree converts."
            )


def _warn_of_training_differences(family: Family, head: Head, config: Any) -> None:
    for name, value in family.warned.items():
        if getattr(config, name, value) != value:
            logger.warning(
                f"{name}={getattr(config, name)} is not carried over: our models have none. Outputs are the same; "
                "only training differs."
            )
    for first, second in family.equal_in_training:
        if getattr(config, first) != getattr(config, second):
            logger.warning(
                f"{first}={getattr(config, first)} and {second}={getattr(config, second)} become dropout="
                f"{getattr(config, first)}. Outputs are the same; only training differs."
            )
    if family.notes:
        logger.info(f"{family.notes} Outputs are the same; only training differs.")


def _our_config(family: Family, head: Head, config: Any) -> Any:
    values: dict[str, Any] = {name: getattr(config, name) for name in CARRIED_FIELDS}
    values |= {"positions_from_mask": family.positions_from_mask, "initializer": "normal"}
    values |= {**family.constants, **family.training_constants, **family.sets}
    if family.stack == "vanilla_encoder":
        values["pooler_act"] = family.pooler_act
    values |= {field.ours: field.to_ours(getattr(config, field.theirs)) for field in family.fields}
    values |= {name: derive(config) for name, derive in family.derived.items()}
    for name, value in family.head_constants.items():
        if head.language_model and values.get(name, value) != value:
            raise ValueError(
                f"{name}={values[name]!r}, but the head of {head.theirs} uses {value!r} whatever its configuration "
                "says; our models have one value for both."
            )
        values.setdefault(name, value)
    our_config = our_class(family, head).config_class(**values)
    if not family.only_eager:
        our_config._attn_implementation = config._attn_implementation
    return our_config
