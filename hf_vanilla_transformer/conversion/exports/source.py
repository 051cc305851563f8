"""The model and the tokenizer that a folder of ours holds."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ...models.registration import AUTO_CLASSES

__all__ = ["load_source"]

# Any of these says that there is a tokenizer.
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt")


def load_source(
    folder: str | Path, dtype: torch.dtype | str = "auto"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
    """The model of a folder as the class that was saved, in evaluation, and its tokenizer if it has one.

    Raises:
        FileNotFoundError: there is no such folder, or no model in it.
        ValueError: the model is none of ours, or config.json does not say which class was saved.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        what = "no config.json, so no model, in" if folder.is_dir() else "no folder"
        raise FileNotFoundError(
            f"There is {what} {folder}. A model on the Hub is exported from its download: "
            "hf download USER/MODEL --local-dir FOLDER."
        )
    saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model_type, architectures = saved.get("model_type"), saved.get("architectures") or []
    classes = next(
        (
            {cls.__name__: cls for cls in auto_classes.values()}
            for config_class, auto_classes in AUTO_CLASSES.items()
            if config_class.model_type == model_type
        ),
        None,
    )
    if classes is None:
        known = ", ".join(config_class.model_type for config_class in AUTO_CLASSES)
        raise ValueError(
            f"The model in {folder} has model_type={model_type!r}, which is none of this package ({known}). A exported "
            "model needs no export; hf-vanilla convert makes ours of it."
        )
    chosen = next((classes[name] for name in architectures if name in classes), None)
    if chosen is None:
        raise ValueError(
            f"{folder / 'config.json'} names the class {', '.join(architectures) or 'none'} (architectures), which is "
            f"none of {', '.join(classes)}. Load the model as one of these and save it again."
        )
    model = chosen.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
    has_tokenizer = any((folder / name).is_file() for name in _TOKENIZER_FILES)
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True) if has_tokenizer else None
