"""What was found when an exported model was run beside the one that it was made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Check", "ExportReport"]


@dataclass(frozen=True)
class Check:
    """One comparison of the exported model with ours.

    Attributes:
        what: what was compared, in words.
        difference: the largest absolute difference of numbers, or None where tokens were compared.
        tolerance: up to where `difference` is rounding, or None where no such bound exists (quantized weights).
        same: how many were equal, or None where numbers were compared.
        total: out of how many.
    """

    what: str
    difference: float | None = None
    tolerance: float | None = None
    same: int | None = None
    total: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the difference is rounding. Comparisons without a bound pass."""
        return self.tolerance is None or self.difference is None or self.difference <= self.tolerance

    def __str__(self) -> str:
        if self.difference is not None:
            bound = "" if self.tolerance is None else f" (rounding: up to {self.tolerance:.0e})"
            return f"{self.what}: largest difference {self.difference:.1e}{bound}"
        return f"{self.what}: the same in {self.same} of {self.total}"


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and how it compares with the model.

    Attributes:
        folder: where it lies.
        target: the format, as `export_to` calls it.
        kind: the class or architecture that it has become.
        compared_on: what the models read for the comparison.
        checks: the comparisons, all passed.
        notes: what a user of the export must know.
    """

    folder: Path
    target: str
    kind: str
    compared_on: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as lines of text."""
        return [
            f"exported as {self.kind}, compared with the model on {self.compared_on}",
            *(f"  {check}" for check in self.checks),
            *(f"  note: {note}" for note in self.notes),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it, without the folder."""
        values = asdict(self)
        del values["folder"]
        return values
