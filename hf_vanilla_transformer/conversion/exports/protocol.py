"""The protocol between `export_to` and the modules that write one format each.

A module `to_FORMAT.py` is a `Target`: it gets a `Request`, writes the model into an empty folder, reads it back,
compares it with the original model, and returns an `Exported`. `export_to` makes an `ExportReport` of it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..embedding_files import EmbeddingFiles
from .samples import Samples

__all__ = ["Check", "ExportReport", "Exported", "Request", "Target", "require"]


@dataclass(frozen=True)
class Request:
    """What a target exports.

    Attributes:
        model: the model, in evaluation mode.
        tokenizer: the model's tokenizer, or None.
        samples: input for the comparison of the two models.
        family: name of the requested family of transformers, or None.
        quantization: requested number format of the weights.
        embedding: files of sentence-transformers in the model's folder, or None.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    samples: Samples
    family: str | None
    quantization: str
    embedding: EmbeddingFiles | None = None


@dataclass(frozen=True)
class Check:
    """One comparison of the exported model with ours.

    Attributes:
        what: name of the compared quantity.
        difference: largest absolute difference of numbers; None if tokens were compared.
        tolerance: largest `difference` that rounding explains; None if there is no such bound (quantized weights).
        same: number of equal items; None if numbers were compared.
        total: number of compared items.
    """

    what: str
    difference: float | None = None
    tolerance: float | None = None
    same: int | None = None
    total: int | None = None

    @property
    def passed(self) -> bool:
        """Whether rounding explains the difference. Comparisons without a bound pass."""
        return self.tolerance is None or self.difference is None or self.difference <= self.tolerance

    def __str__(self) -> str:
        if self.difference is not None:
            bound = "" if self.tolerance is None else f" (rounding: up to {self.tolerance:.0e})"
            return f"{self.what}: largest difference {self.difference:.1e}{bound}"
        return f"{self.what}: the same in {self.same} of {self.total}"


@dataclass(frozen=True)
class Exported:
    """The result of a target.

    Attributes:
        kind: class or architecture of the exported model.
        checks: comparisons with the original model.
        notes: restrictions that a user of the export must know.
    """

    kind: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()


class Target(Protocol):
    """A module that exports to one format."""

    QUANTIZATIONS: tuple[str, ...]

    def requirements(self) -> None:
        """Raises ImportError if a library is missing."""

    def export(self, request: Request, folder: Path) -> Exported:
        """Writes the model into `folder`, which is empty, reads it back, runs it and compares it with ours.

        Raises:
            ValueError: the format cannot express the model; the message names the configuration field.
        """


@dataclass(frozen=True)
class ExportReport:
    """A finished export and its comparison with the model.

    Attributes:
        folder: folder of the export.
        target: name of the format, as in `export_to`.
        kind: class or architecture of the exported model.
        compared_on: description of the samples.
        checks: the comparisons; all of them passed.
        notes: restrictions that a user of the export must know.
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
        """The report without its folder, as JSON-serializable values."""
        values = asdict(self)
        del values["folder"]
        return values


def require(*modules: str, extra: str, purpose: str) -> None:
    """Raises ImportError with an installation command if one of `modules` is missing. Imports none of them.

    Args:
        modules: top-level module names.
        extra: the extra of this package that installs them.
        purpose: the option that needs them; the message begins with it.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(
            f"{purpose} needs {' and '.join(missing)}, not installed here: "
            f"pip install 'hf_vanilla_transformer[{extra}]'"
        )
