"""`to_transformers`: convert a model of ours to the class of transformers that computes the same function."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from .families import FAMILIES
from .family import Family, Head
from .importing import CARRIED_FIELDS, CARRIED_NOTES, check_weights
from .model_tensors import build, load, model_rules, transformers_class
from .residual_order import sines_first
from .tensor_rules import export_tensors

logger = logging.getLogger(__name__)

# Sinusoids, which classes of transformers compute themselves, but which are in their state dict.
COMPUTED = ("embed_positions.weight",)


def to_transformers(model: PreTrainedModel, family: str | None = None) -> PreTrainedModel:
    """Converts a model of ours to one of transformers. Logits and generated tokens stay the same.

    The class is the first family that can express the configuration, in the order BERT, RoBERTa, XLM-RoBERTa,
    CamemBERT, DistilBERT, ELECTRA; GPT-2, OPT, GPT, BioGPT, XGLM; Marian, Pegasus, BART, mBART, M2M100, FSMT; and
    Speech2Text for speech. Sinusoids that a family lacks are converted: the paper's interleaved ones by a permutation
    of the hidden dimensions (Marian, Pegasus), others by storing them as learned positions. An embedding scale that the
    family lacks is multiplied into the embeddings, which are then untied from the output matrix.

    ```python
    to_transformers(model).save_pretrained("folder")
    ```

    Args:
        model: the model; it is not changed.
        family: `model_type` of the requested family (`"gpt2"`), or None to choose one.

    Raises:
        ValueError: no class (or not that of `family`) computes the same function; the message names the fields that
            prevent it, with their values and the possible values.
    """
    stack = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    known = [candidate for candidate in FAMILIES.values() if candidate.stack == stack]
    if not known:
        raise ValueError(f"model_type={stack!r} is not of this package; give a model of hf_vanilla_transformer.")
    if family is not None and family not in {candidate.model_type for candidate in known}:
        names = ", ".join(candidate.model_type for candidate in known)
        raise ValueError(f"family={family!r} is not possible for a {stack}; choose from {names}.")
    check_weights(model)
    wanted = [candidate for candidate in known if family in (None, candidate.model_type)]
    plans = [_plan(candidate, model) for candidate in wanted]
    possible = [plan for plan in plans if not plan.obstacles]
    if not possible:
        reasons = "; ".join(f"{plan.family.model_type}: {', '.join(plan.obstacles)}" for plan in plans)
        raise ValueError(
            f"No class of transformers computes the same function as this {type(model).__name__}. {reasons}."
        )
    plan = min(possible, key=lambda plan: plan.other_positions)
    exported = _export(plan, model)
    if note := padding_note(model, exported):
        logger.warning(f"{note} (positions_from_mask={model.config.positions_from_mask}.)")
    return exported


def padding_note(model: PreTrainedModel, exported: PreTrainedModel) -> str:
    """A note for users of `exported` if rows padded on the left give other results than with `model`; else empty.

    Args:
        model: a model of ours.
        exported: the result of `to_transformers(model)`.
    """
    from_mask = FAMILIES[exported.config.model_type].positions_from_mask
    if from_mask == model.config.positions_from_mask:
        return ""
    ways = ("columns", "tokens without padding")
    return (
        f"{type(exported).__name__} counts {ways[from_mask]} for positions, the original model counts "
        f"{ways[not from_mask]}, so rows padded on the left give other results, unless the class accepts position_ids "
        "and you pass them. Pad on the right."
    )


@dataclass(frozen=True)
class _Plan:
    """An export to one family, and the reasons why it is not possible."""

    family: Family
    head: Head | None
    obstacles: tuple[str, ...]
    other_positions: bool


def _plan(family: Family, model: PreTrainedModel) -> _Plan:
    config = model.config
    names = [base.__name__ for base in type(model).__mro__]
    head = next((head for name in names for head in family.heads if head.ours == name), None)
    obstacles = []
    if head is None:
        converting = ", ".join(head.ours for head in family.heads)
        obstacles.append(f"{names[0]} has no counterpart (only {converting})")
    needed = dict(family.constants)
    if head is not None and head.language_model:
        needed |= family.head_constants
    for name, value in needed.items():
        actual = getattr(config, name)
        if actual != value and not _bridged(family, name, actual):
            obstacles.append(f"{name}={actual!r} would have to be {value!r}")
    for requirement in family.requirements:
        if not requirement.holds(config):
            actual = getattr(config, requirement.name)
            obstacles.append(f"{requirement.name}={actual!r} would have to be {requirement.value}")
    for field in family.fields:
        try:
            field.to_theirs(getattr(config, field.ours))
        except ValueError as error:
            obstacles.append(f"{field.ours}={getattr(config, field.ours)!r}, but {error}")
    if head is not None and any(name.endswith("pooler.dense.weight") for name in model.state_dict()):
        if head.base and not head.pooler:
            obstacles.append(f"{head.theirs} has no pooler (add_pooling_layer=False leaves it out of ours)")
        elif config.pooler_act != family.pooler_act:
            obstacles.append(f"pooler_act={config.pooler_act!r} would have to be {family.pooler_act!r}")
    if head is not None and head.theirs.endswith(("SequenceClassification", "MultipleChoice")):
        for name in ("classifier_pooling", "classifier_direction"):
            actual, usual = getattr(config, name, None), getattr(type(config), name, None)
            if actual != usual:
                obstacles.append(f"{name}={actual!r} would have to be {usual!r}")
    other_positions = config.positions_from_mask != family.positions_from_mask
    return _Plan(family, head, tuple(obstacles), other_positions)


def _bridged(family: Family, name: str, actual: Any) -> bool:
    """Whether the family's value of a field computes the same function after `_rewritten` changed the weights."""
    if name == "position_embedding_type":
        return family.learned_positions or (family.constants[name], actual) == ("sinusoidal_concat", "sinusoidal")
    return name == "scale_embedding" and actual is True


def _export(plan: _Plan, model: PreTrainedModel) -> PreTrainedModel:
    family, head = plan.family, plan.head
    for name, value in {**family.training_constants, "label_smoothing": 0.0}.items():
        if getattr(model.config, name) != value:
            logger.warning(
                f"{name}={getattr(model.config, name)} is ignored, because {head.theirs} has no such setting. Outputs "
                "are the same; only training differs."
            )
    config = _their_config(family, head, model)
    tensors = _rewritten(family, model)
    if family.constants.get("scale_embedding") is False and model.config.scale_embedding:
        config.tie_word_embeddings = False
    optional_pooler = head.base and head.pooler
    pooler = "pooler.dense.weight" in tensors if optional_pooler else head.pooler
    theirs = build(transformers_class(head), config, pooler if optional_pooler else None)
    rules = model_rules(family, head, config, pooler)
    weights = export_tensors(rules, tensors, config)
    for rule in rules:
        if rule.zero_if_absent and rule.ours[0] not in tensors:
            weights |= {name: torch.zeros_like(theirs.state_dict()[name]) for name in rule.theirs}
    load(theirs, weights, like=model, computed=() if family.learned_positions else COMPUTED)
    if theirs.can_generate() and getattr(model, "generation_config", None) is not None:
        theirs.generation_config = copy.deepcopy(model.generation_config)
    return theirs


def _their_config(family: Family, head: Head, model: PreTrainedModel) -> Any:
    ours = model.config
    values = {name: getattr(ours, name) for name in CARRIED_FIELDS}
    if "QuestionAnswering" in head.theirs:
        # Some classes of transformers take the width of their span head, always 2, from the number of labels.
        values |= {"id2label": None, "label2id": None}
    values |= {field.theirs: field.to_theirs(getattr(ours, field.ours)) for field in family.fields}
    values |= {name: write(ours) for name, write in family.written.items()}
    for first, second in (*family.equal, *family.equal_in_training):
        values[second] = values[first]
    values |= family.training_settings
    config = getattr(transformers, family.config_class)(**values)
    generation_config = getattr(model, "generation_config", None)
    if hasattr(config, "forced_eos_token_id"):
        # Otherwise every new generation_config would have the default of the class.
        config.forced_eos_token_id = getattr(generation_config, "forced_eos_token_id", None)
    for name in CARRIED_NOTES:
        if hasattr(ours, name):
            setattr(config, name, getattr(ours, name))
    if not family.only_eager:
        config._attn_implementation = ours._attn_implementation
    return config


def _rewritten(family: Family, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Our tensors, changed so that the family computes the same function with its own positions and embedding scale."""
    config = model.config
    tensors = dict(model.state_dict())
    positions = config.position_embedding_type
    if family.learned_positions and positions != "learned":
        for name, module in model.named_modules():
            if name.endswith("embed_positions"):
                tensors[f"{name}.weight"] = module.table[: config.max_position_embeddings]
    elif positions != family.constants["position_embedding_type"]:
        tensors = sines_first(tensors, config.hidden_size)
    if family.constants.get("scale_embedding") is False and config.scale_embedding:
        for name in [name for name in tensors if name.endswith("embed_tokens.weight")]:
            tensors[name] = tensors[name] * math.sqrt(config.hidden_size)
    return tensors
