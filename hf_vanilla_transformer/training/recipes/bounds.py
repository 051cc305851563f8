"""Bounds of numbers, written beside the recipe field that they limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from huggingface_hub.dataclasses import validated_field

# The type of a field that is a float: whole numbers are valid too.
Number = float | int


@dataclass(frozen=True)
class Bounds:
    """The range of a number, as a validator of `huggingface_hub.dataclasses.strict`.

    Attributes:
        at_least, at_most: limits that belong to the range.
        above, below: limits that do not.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __call__(self, value: Number | None) -> None:
        """Raises ValueError for a number outside of the range, and for one that is not finite. None is not checked."""
        if value is None:
            return
        inside = (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )
        if not inside:
            raise ValueError(f"must be {self}, not {value!r}")

    def __str__(self) -> str:
        limits = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        return " and ".join(f"{words} {limit:,.15g}" for words, limit in limits if limit is not None) or "finite"


def bounded(
    default: Number | None,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of a dataclass that holds a finite number within these bounds, or None where its type permits it.

    ```python
    max_steps: int | None = bounded(None, at_least=1)
    ```
    """
    return validated_field(Bounds(at_least, above, at_most, below), default=default)
