"""Checkpoints from before the Hub, as their owner wrote them to safetensors: the original BERT, and fairseq.

Both formats are read by nothing but the library that wrote them, or by unpickling. So whoever has the checkpoint writes
its tensors, under the names that they have there, to safetensors once (docs/conversion.md has the lines); from there on
nothing needs to be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["OriginalFormat", "dumped_tensors", "read_settings"]

HOW = "docs/conversion.md says how to write it, under 'Checkpoints from before the Hub'"


@dataclass(frozen=True)
class OriginalFormat:
    """How a folder in such a format is read.

    Attributes:
        model: the model, from the folder and the name of a head (None: as it was trained).
        tokenizer: the tokenizer, from the folder.
    """

    model: Callable[[Path, str | None], PreTrainedModel]
    tokenizer: Callable[[Path], PreTrainedTokenizerBase]


def dumped_tensors(folder: Path, written_by: str) -> dict[str, torch.Tensor]:
    """The tensors of the one safetensors file in `folder`.

    Args:
        folder: the folder.
        written_by: what wrote the checkpoint, for the messages.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no such file, or several, or it is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} with a checkpoint of {written_by}.")
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        found = ", ".join(path.name for path in files) if files else "none"
        raise ValueError(
            f"{folder} must hold one safetensors file with the tensors of {written_by}, but has {found}. Its own files "
            f"are read by {written_by} only, or by unpickling, which runs what is in them; {HOW}."
        )
    try:
        return load_file(files[0])
    except SafetensorError as error:
        raise ValueError(f"{files[0]} is damaged or no safetensors ({error}); write it again.") from error


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file beside the tensors, which says what they compute.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}, which says what the tensors compute; {HOW}.")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold names with values, not {type(settings).__name__}.")
    return settings
