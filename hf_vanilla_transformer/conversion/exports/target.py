"""What an export gets, and what it gives back: the same for every format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .report import Check
from .samples import Samples

__all__ = ["Exported", "Request", "Target"]


@dataclass(frozen=True)
class Request:
    """What shall be exported.

    Attributes:
        model: in evaluation mode.
        tokenizer: the model's, or None.
        samples: what the exported model and ours are compared on.
        family: name of the exported family asked for, or None.
        quantization: number format of the weights asked for.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    samples: Samples
    family: str | None
    quantization: str


@dataclass(frozen=True)
class Exported:
    """What was written: its class or architecture, the comparisons, and what a user must know."""

    kind: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()


class Target(Protocol):
    """A module that exports to one format."""

    QUANTIZATIONS: tuple[str, ...]

    def requirements(self) -> None:
        """Raises ImportError if a library is missing."""

    def export(self, request: Request, folder: Path) -> Exported:
        """Writes the model into `folder`, which is empty, reads it back, runs it and compares.

        Raises:
            ValueError: the format cannot express the model; the message names the field of the configuration.
        """
