"""Rules between the tensors of our models and those of a published family, each read in both directions.

A rule names tensors on both sides and the linear map between them. Read forwards it imports, read backwards it exports,
and because every map is linear and fixed it carries gradients over as well as weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

Tensors = list[torch.Tensor]


@dataclass(frozen=True)
class Operation:
    """The map between the tensors of a rule; this one changes nothing. Subclasses override both directions."""

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        """Our tensors from the family's; `config` is the family's configuration."""
        return theirs

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        """The family's tensors from ours; `config` is the family's configuration."""
        return ours


@dataclass(frozen=True)
class Transpose(Operation):
    """A weight stored (in, out), as the Conv1D of GPT stores it, against (out, in) of `nn.Linear`."""

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return [tensor.T for tensor in theirs]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [tensor.T for tensor in ours]


@dataclass(frozen=True)
class Fuse(Operation):
    """Several of our tensors in one of theirs, joined along `dim` of theirs; `transposed` if theirs is (in, out)."""

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
    """Position tables whose first rows are never read for a token (fairseq reserved them for padding).

    `rows` is their number, or None for `pad_token_id + 1`. Exported they are zero.
    """

    rows: int | None = None

    def count(self, config: Any) -> int:
        """Number of rows before that of the first position."""
        return config.pad_token_id + 1 if self.rows is None else self.rows

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return [tensor[self.count(config) :] for tensor in theirs]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [torch.cat([table.new_zeros(self.count(config), table.shape[1]), table]) for table in ours]


@dataclass(frozen=True)
class Flatten(Operation):
    """A row vector (1, n) of theirs, a vector (n) of ours: `final_logits_bias` of BART and Marian."""

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return [tensor.flatten() for tensor in theirs]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return [tensor[None] for tensor in ours]


@dataclass(frozen=True)
class Repeat(Operation):
    """One tensor of ours that the family stores under several names; the first is the one its forward reads."""

    copies: int

    def to_ours(self, theirs: Tensors, config: Any) -> Tensors:
        return theirs[:1]

    def to_theirs(self, ours: Tensors, config: Any) -> Tensors:
        return ours * self.copies


@dataclass(frozen=True)
class Rule:
    """`ours` and `theirs` are names of tensors, `operation` the map between their values.

    With `zero_if_absent` our model may lack the part (a bias, segments); theirs is then zero.
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
    """The rules of a linear layer or a normalisation: weight and bias."""
    return (tensor(f"{ours}.weight", f"{theirs}.weight"), tensor(f"{ours}.bias", f"{theirs}.bias"))


def conv1d(ours: str | tuple[str, ...], theirs: str) -> tuple[Rule, ...]:
    """The rules of GPT's Conv1D: one linear layer of ours, or several that theirs fuses."""
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
    """`rules` once for each of `count` layers; the prefixes contain `{}` where the layer's number goes."""
    rules = tuple(rules)
    return tuple(rule for index in range(count) for rule in within(rules, ours.format(index), theirs.format(index)))


def import_tensors(rules: Iterable[Rule], theirs: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Our tensors by name, from those of a family.

    Args:
        rules: the family's table, see `Family.rules`.
        theirs: the family's tensors by name, its aliases of tied weights included or not.
        config: the family's configuration.

    Raises:
        ValueError: a tensor that the table names is missing.
    """
    ours: dict[str, torch.Tensor] = {}
    for rule in rules:
        missing = [name for name in rule.theirs if name not in theirs]
        if missing:
            raise ValueError(
                f"The transformers model has no tensor {missing[0]!r}, from which {rule.ours[0]!r} is read."
            )
        ours.update(zip(rule.ours, rule.operation.to_ours([theirs[name] for name in rule.theirs], config), strict=True))
    return ours


def export_tensors(rules: Iterable[Rule], ours: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """A family's tensors by name, from ours: the inverse of `import_tensors`, with the same table and arguments.

    Tensors that are zero because our model lacks the part are left out.
    """
    theirs: dict[str, torch.Tensor] = {}
    for rule in rules:
        if not (rule.zero_if_absent and rule.ours[0] not in ours):
            values = rule.operation.to_theirs([ours[name] for name in rule.ours], config)
            theirs.update(zip(rule.theirs, values, strict=True))
    return theirs
