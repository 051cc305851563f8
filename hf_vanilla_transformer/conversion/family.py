"""What the table of a published family consists of: configuration fields, heads and tensors, as data.

`importing.py` reads a `Family` forwards, `exporting.py` backwards. Nothing about a family is written anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .tensor_rules import Rule

Stack = Literal["vanilla_encoder", "vanilla_decoder", "vanilla_transformer"]


def same(value: Any) -> Any:
    """The value unchanged."""
    return value


@dataclass(frozen=True)
class Field:
    """A configuration field with its name on both sides; `to_ours` and `to_theirs` map its value.

    A map to the other side raises ValueError, saying which values exist there, for a value that does not exist there.
    """

    ours: str
    theirs: str
    to_ours: Callable[[Any], Any] = same
    to_theirs: Callable[[Any], Any] = same


@dataclass(frozen=True)
class Head:
    """One pair of classes that compute the same function.

    Attributes:
        ours: name of our class.
        theirs: name of transformers' class.
        rules: tensors of the head itself, full names on both sides.
        base: whether this is the bare model, so that tensors have no prefix of a base model.
        pooler: whether the model contains BERT's pooler, by transformers' default for the class.
        language_model: whether it predicts tokens, so that the knobs of the language-model head matter.
    """

    ours: str
    theirs: str
    rules: tuple[Rule, ...] = ()
    base: bool = False
    pooler: bool = False
    language_model: bool = False


@dataclass(frozen=True)
class Requirement:
    """A condition that a model of ours fulfils if the family can express it: `name` must be `value`, in words."""

    name: str
    value: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Family:
    """A published family of models.

    Attributes:
        model_type: transformers' name of the family, e.g. `"bert"`.
        stack: `model_type` of our stack that computes it.
        config_class: name of transformers' configuration class.
        base_prefix: what precedes the names of the base model's tensors in a model with a head.
        fields: configuration fields that both sides have.
        constants: our knobs that the family fixes, with the value.
        head_constants: the same, but only where a head predicts tokens.
        sets: our knobs that a model of the family has, though export accepts others.
        training_constants: our knobs that the family fixes and that act in training only: another value is exported
            with a warning.
        positions_from_mask: whether positions count kept tokens. A difference matters for rows padded on the left only.
        pooler_act: activation of the layer that the family's sentence heads put on the first token (encoders).
        demands: fields of the family's configuration that must have one value (or be absent), as they change the
            function in ways that our models do not have. Written on export where the class declares the field.
        equal: pairs of the family's fields that must agree, since we have one field for both; on export the second is
            written from the first.
        derived: our fields that follow from several of the family's.
        written: the family's fields that follow from several of ours.
        requirements: conditions on ours that are not the equality with a constant.
        equal_in_training: pairs of the family's fields that we have one field for and that act in training only:
            a difference is imported with a warning, the first counts.
        only_eager: whether the family has no other attention kernel.
        warned: fields of the family's configuration that act in training only and that we lack, with the inactive
            value: another value is imported with a warning.
        rules: the tensors of the base model, for a family's configuration; names without the base model's prefix.
        heads: classes, the preferred one first where several of ours or theirs correspond.
        headless: names of transformers classes whose head we lack and whose base model is what they are used for.
        copies: tensors that older versions of transformers did not save, and the tensor that they were another name of.
        notes: differences in training only that no field expresses, logged at level INFO on import.
    """

    model_type: str
    stack: Stack
    config_class: str
    base_prefix: str
    fields: tuple[Field, ...]
    constants: Mapping[str, Any]
    rules: Callable[[Any], tuple[Rule, ...]]
    heads: tuple[Head, ...]
    headless: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    head_constants: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    training_constants: Mapping[str, Any] = field(default_factory=dict)
    positions_from_mask: bool = False
    pooler_act: str = "tanh"
    demands: Mapping[str, Any] = field(default_factory=dict)
    equal: tuple[tuple[str, str], ...] = ()
    derived: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    written: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    equal_in_training: tuple[tuple[str, str], ...] = ()
    only_eager: bool = False
    warned: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    @property
    def learned_positions(self) -> bool:
        """Whether positions are a trained table."""
        return self.constants["position_embedding_type"] == "learned"
