"""Rules that map the tensors of a published family to ours and back.

A rule has names of tensors on both sides and the linear map between them. Import reads it forwards, export backwards.
As every map is linear and fixed, a rule also converts gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

Tensors = list[torch.Tensor]


@dataclass(frozen=True)
class Operation:
    """The map between the tensors of a rule: the identity. Subclasses override both directions."""

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        """Our tensors from those of the family; `config` is the family's configuration."""
        return theirs

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        """The family's tensors from ours; `config` is the family's configuration."""
        return ours


@dataclass(frozen=True)
class Transpose(Operation):
    """A weight stored as (in, out), like in GPT's Conv1D; ours is (out, in), like in `nn.Linear`."""

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return [tensor.T for tensor in theirs]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [tensor.T for tensor in ours]


@dataclass(frozen=True)
class Fuse(Operation):
    """Several of our tensors, concatenated along `dim` of one of theirs; `transposed` if theirs is (in, out)."""

    parts: int
    dim: int
    transposed: bool = False

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        parts = theirs[0].chunk(self.parts, dim=self.dim)
        return [part.T if self.transposed else part for part in parts]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [torch.cat([part.T if self.transposed else part for part in ours], dim=self.dim)]


@dataclass(frozen=True)
class SkipRows(Operation):
    """Position tables whose first rows are not used (fairseq reserved them for padding).

    `rows` is their number, or None for `pad_token_id + 1`. Export fills them with zeros.
    """

    rows: int | None = None

    def count(self, config: Any) -> int:
        """Number of rows before the first position."""
        return config.pad_token_id + 1 if self.rows is None else self.rows

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return [tensor[self.count(config) :] for tensor in theirs]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [torch.cat([table.new_zeros(self.count(config), table.shape[1]), table]) for table in ours]


@dataclass(frozen=True)
class Flatten(Operation):
    """Their row vector (1, n) is our vector (n): `final_logits_bias` of BART and Marian."""

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return [tensor.flatten() for tensor in theirs]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [tensor[None] for tensor in ours]


@dataclass(frozen=True)
class Repeat(Operation):
    """One tensor of ours that the family stores under several names; its forward uses the first."""

    copies: int

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return theirs[:1]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return ours * self.copies


@dataclass(frozen=True)
class Rule:
    """One rule of a family's table.

    Attributes:
        ours: names of our tensors.
        theirs: names of the family's tensors.
        operation: the map between their values.
        zero_if_absent: whether our model may lack the tensor (a bias, segments); theirs is then zero.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    operation: Operation = Operation()
    zero_if_absent: bool = False

    def within(self, ours: str, theirs: str) -> Rule:
        """The same rule below the prefixes `ours` and `theirs`."""
        return replace(
            self, ours=tuple(ours + name for name in self.ours), theirs=tuple(theirs + name for name in self.theirs)
        )


def tensor(ours: str, theirs: str, operation: Operation | None = None, zero_if_absent: bool = False) -> Rule:
    """The rule of one tensor."""
    return Rule((ours,), (theirs,), operation or Operation(), zero_if_absent)


def module(ours: str, theirs: str) -> tuple[Rule, ...]:
    """The rules of weight and bias of a linear layer or a norm."""
    return (tensor(f"{ours}.weight", f"{theirs}.weight"), tensor(f"{ours}.bias", f"{theirs}.bias"))


def conv1d(ours: str | tuple[str, ...], theirs: str) -> tuple[Rule, ...]:
    """The rules of a Conv1D of GPT: one linear layer of ours, or several that GPT fuses into one."""
    names = (ours,) if isinstance(ours, str) else ours
    weights, biases = (tuple(f"{name}.{kind}" for name in names) for kind in ("weight", "bias"))
    if len(names) == 1:
        return (Rule(weights, (f"{theirs}.weight",), Transpose()), Rule(biases, (f"{theirs}.bias",)))
    return (
        Rule(weights, (f"{theirs}.weight",), Fuse(len(names), dim=1, transposed=True)),
        Rule(biases, (f"{theirs}.bias",), Fuse(len(names), dim=0)),
    )


def within(rules: Iterable[Rule], ours: str = "", theirs: str = "") -> tuple[Rule, ...]:
    """All `rules` below the prefixes `ours` and `theirs`."""
    return tuple(rule.within(ours, theirs) for rule in rules)


def layers(count: int, rules: Iterable[Rule], ours: str, theirs: str) -> tuple[Rule, ...]:
    """`rules` for each of `count` layers; the prefixes contain `{}` for the number of the layer."""
    rules = tuple(rules)
    return tuple(rule for index in range(count) for rule in within(rules, ours.format(index), theirs.format(index)))


def import_tensors(rules: Iterable[Rule], theirs: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Converts tensors of a family to ours.

    Args:
        rules: the family's table, see `Family.rules`.
        theirs: the family's tensors by name, with or without the aliases of tied weights.
        config: the family's configuration.

    Returns:
        Our tensors by name.

    Raises:
        ValueError: a tensor of the table is missing.
    """
    ours: dict[str, torch.Tensor] = {}
    for rule in rules:
        missing = [name for name in rule.theirs if name not in theirs]
        if missing:
            raise ValueError(
                f"The model of transformers has no tensor {missing[0]!r}, which our {rule.ours[0]!r} needs."
            )
        ours.update(zip(rule.ours, rule.operation.to_ours([theirs[name] for name in rule.theirs], config), strict=True))
    return ours


def export_tensors(rules: Iterable[Rule], ours: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Converts our tensors to those of a family: the inverse of `import_tensors`, with the same table.

    Tensors that are zero because our model lacks them are left out.
    """
    theirs: dict[str, torch.Tensor] = {}
    for rule in rules:
        if not (rule.zero_if_absent and rule.ours[0] not in ours):
            values = rule.operation.to_theirs([ours[name] for name in rule.ours], config)
            theirs.update(zip(rule.theirs, values, strict=True))
    return theirs
