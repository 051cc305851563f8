"""Checkpoints older than the Hub (the original BERT, fairseq), exported to safetensors by their owner.

Only the original library or unpickling can load them. So the owner first writes the tensors, under their original
names, to safetensors (docs/conversion.md has the code). The safetensors file cannot run code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..untrusted_files import read_json_object

__all__ = ["OriginalFormat", "dumped_tensors", "read_settings"]

HOW = "docs/conversion.md shows how to write it, under 'Checkpoints from before the Hub'"


@dataclass(frozen=True)
class OriginalFormat:
    """Functions that load a folder in an original format.

    Attributes:
        model: loads the model, given the folder and the name of a head (None for the trained head).
        tokenizer: loads the tokenizer, given the folder.
    """

    model: Callable[[Path, str | None], PreTrainedModel]
    tokenizer: Callable[[Path], PreTrainedTokenizerBase]


def dumped_tensors(folder: Path, written_by: str) -> dict[str, torch.Tensor]:
    """Loads the only safetensors file in `folder`.

    Args:
        folder: the folder.
        written_by: name of the original library, for messages.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: there is no safetensors file, or several, or it is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}; give one with a checkpoint of {written_by}.")
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        found = ", ".join(path.name for path in files) if files else "none"
        raise ValueError(
            f"{folder} must contain one safetensors file with the tensors of {written_by}, but has {found}. Its "
            f"original files are loaded by {written_by} only, or by unpickling, which can run arbitrary code; {HOW}."
        )
    try:
        return load_file(files[0])
    except SafetensorError as error:
        raise ValueError(f"{files[0]} is damaged or not in safetensors format ({error}); write it again.") from error


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """Loads the model's settings, a JSON file beside the tensors.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not a JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path} with the settings of the model; {HOW}.")
    return read_json_object(path, HOW)
