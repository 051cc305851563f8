"""`from_transformers`: convert a model of transformers to one of ours that computes the same function."""

from __future__ import annotations

import copy
import logging
from typing import Any

from transformers import PreTrainedModel

from .families import FAMILIES
from .family import Family, Head
from .model_tensors import build, load, model_rules, our_class
from .tensor_rules import import_tensors
from .unsupported_families import unsupported_family_message

logger = logging.getLogger(__name__)

# Fields that every configuration of transformers has; they do not depend on the family.
CARRIED_FIELDS = ("id2label", "label2id", "problem_type", "return_dict", "output_hidden_states")
# Notes of sentence-transformers in config.json: the activation of a CrossEncoder, today and before version 4.
CARRIED_NOTES = ("sentence_transformers", "sbert_ce_default_activation_function")


def from_transformers(model: PreTrainedModel) -> PreTrainedModel:
    """Converts a model of transformers to one of ours. Logits, gradients and generated tokens stay the same.

    Supports the families in `conversion/families/` (table in docs/conversion.md): the base model and all heads that our
    stack has. Weights are copied; type, device, training mode and generation settings are kept.

    ```python
    ours = from_transformers(AutoModelForSeq2SeqLM.from_pretrained("Helsinki-NLP/opus-mt-en-de"))
    ```

    Args:
        model: the model; it is not changed.

    Raises:
        ValueError: the family, the class or a configuration field is not supported; the message has a remedy.
    """
    family = _family(model)
    head = _head(family, model)
    check_weights(model)
    check_family_config(family, model.config)
    _warn_of_training_differences(family, head, model.config)
    config = _our_config(family, head, model.config)

    theirs = model.state_dict()
    # The base model of an encoder may have a pooler; for heads it depends on the class.
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
        raise ValueError(unsupported_family_message(model_type))
    return FAMILIES[model_type]


def _head(family: Family, model: PreTrainedModel) -> Head:
    names = [base.__name__ for base in type(model).__mro__]
    for name in names:
        for head in family.heads:
            if head.theirs == name:
                return head
    raise ValueError(
        f"{names[0]} has no counterpart among our models. Supported classes of {family.model_type}: "
        f"{', '.join(head.theirs for head in family.heads)}."
    )


def check_weights(model: PreTrainedModel) -> None:
    """Raises ValueError if the weights are quantized or on the meta device."""
    if getattr(model.config, "quantization_config", None) is not None:
        raise ValueError(
            f"This {type(model).__name__} has quantized weights (config.quantization_config is set); load it without "
            "quantization."
        )
    empty = next((name for name, tensor in model.state_dict().items() if tensor.is_meta), None)
    if empty is not None:
        raise ValueError(
            f"{empty} is on the meta device without values (offloaded or never loaded); load the complete model to one "
            "device."
        )


def check_family_config(family: Family, config: Any) -> None:
    """Raises ValueError if our models cannot compute the function of a configuration of the family."""
    for name, value in family.required_values.items():
        actual = getattr(config, name, value)
        if actual is not None and actual != value:
            raise ValueError(
                f"{type(config).__name__}.{name}={actual!r} is not supported by our models; only {value!r} is."
            )
    for first, second in family.equal:
        if getattr(config, first) != getattr(config, second):
            raise ValueError(
                f"{type(config).__name__} has {first}={getattr(config, first)} but {second}={getattr(config, second)}; "
                "our models have one value for both, so they must be equal."
            )


def _warn_of_training_differences(family: Family, head: Head, config: Any) -> None:
    for name, value in family.training_settings.items():
        if getattr(config, name, value) != value:
            logger.warning(
                f"{name}={getattr(config, name)} is ignored, because our models have no such setting. Outputs are the "
                "same; only training differs."
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
    values |= {**family.constants, **family.training_constants, **family.import_constants}
    if family.stack == "vanilla_encoder":
        values["pooler_act"] = family.pooler_act
    values |= {field.ours: field.to_ours(getattr(config, field.theirs)) for field in family.fields}
    values |= {name: derive(config) for name, derive in family.derived.items()}
    for name, value in family.head_constants.items():
        if head.language_model and values.get(name, value) != value:
            raise ValueError(
                f"{name}={values[name]!r}, but the head of {head.theirs} always uses {value!r}; our models have one "
                "value for the layers and the head, so they must be equal."
            )
        values.setdefault(name, value)
    our_config = our_class(family, head).config_class(**values)
    for name in CARRIED_NOTES:
        if hasattr(config, name):
            setattr(our_config, name, getattr(config, name))
    if not family.only_eager:
        our_config._attn_implementation = config._attn_implementation
    return our_config
