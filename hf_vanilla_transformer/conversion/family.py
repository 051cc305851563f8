"""The table of a published family as data: configuration fields, heads and tensors.

`importing.py` reads a `Family` forwards, `exporting.py` backwards.
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

    Both maps raise ValueError with the possible values if the other side has no such value.
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
        rules: tensors of the head itself, with full names on both sides.
        base: whether this is the base model, whose tensors have no prefix.
        pooler: whether the model has BERT's pooler by transformers' default for the class.
        language_model: whether it predicts tokens, so that `Family.head_constants` apply.
    """

    ours: str
    theirs: str
    rules: tuple[Rule, ...] = ()
    base: bool = False
    pooler: bool = False
    language_model: bool = False


@dataclass(frozen=True)
class Requirement:
    """A condition on our configuration: field `name` must be `value` (in words) for the family to express it."""

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
        base_prefix: prefix of the base model's tensors in a model with a head.
        fields: configuration fields that both sides have.
        constants: our fields with a fixed value in the family.
        head_constants: the same for models with a language-model head.
        import_constants: our fields with a fixed value on import; export accepts other values.
        training_constants: our fields with a fixed value in the family that affect only training. Export warns of other
            values.
        positions_from_mask: whether positions count unmasked tokens. It matters only for rows padded on the left.
        pooler_act: activation of the pooler of the first token (encoders).
        required_values: values that fields of the family's configuration must have (or lack), because our models do not
            support others.
        equal: pairs of the family's fields that must be equal, because we have one field for both. Export writes both.
        derived: our fields that are computed from several fields of the family.
        written: fields of the family that are computed from several of ours.
        requirements: conditions on our fields other than equality with a constant.
        equal_in_training: pairs of the family's fields that affect only training and for which we have one field.
            Import takes the first and warns if they differ.
        only_eager: whether the family supports eager attention only.
        training_settings: fields of the family's configuration that affect only training and that we lack, with the
            inactive value. Import warns of other values.
        rules: function from a configuration of the family to the rules of the base model, names without its prefix.
        heads: pairs of classes; the preferred one comes first if several correspond.
        headless: names of transformers classes whose head we lack; they are converted to our base model.
        copies: tensors that older versions of transformers did not save, with the tensor of the same values.
        notes: further differences in training, logged at level INFO on import.
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
    import_constants: Mapping[str, Any] = field(default_factory=dict)
    training_constants: Mapping[str, Any] = field(default_factory=dict)
    positions_from_mask: bool = False
    pooler_act: str = "tanh"
    required_values: Mapping[str, Any] = field(default_factory=dict)
    equal: tuple[tuple[str, str], ...] = ()
    derived: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    written: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    equal_in_training: tuple[tuple[str, str], ...] = ()
    only_eager: bool = False
    training_settings: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    @property
    def learned_positions(self) -> bool:
        """Whether positions are a trained table."""
        return self.constants["position_embedding_type"] == "learned"
