"""What the card of a published checkpoint declares and its conversion keeps: license and languages."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml
from huggingface_hub import ModelCard

from .model_card import ModelCardText

__all__ = ["declared_facts"]


def declared_facts(folder: str | Path, text: ModelCardText) -> ModelCardText:
    """`text` with the license and the languages in the metadata of README.md in `folder`.

    A converted model is the same model in another form, so the license of its author holds for it. A folder without
    README.md, or with metadata that cannot be read, leaves `text` as it is.
    """
    path = Path(folder) / "README.md"
    if not path.is_file():
        return text
    try:
        data = ModelCard.load(path, ignore_metadata_errors=True).data
    except (ValueError, TypeError, yaml.YAMLError):  # hand-written metadata: not YAML, or not a mapping
        return text
    languages = data.language if isinstance(data.language, list) else [data.language]
    declared = {
        "license": data.license,
        "license_name": data.license_name,
        "license_link": data.license_link,
    }
    known = {name: value for name, value in declared.items() if isinstance(value, str) and value}
    if "license" not in known:
        known = {}
    return dataclasses.replace(text, **known, languages=tuple(name for name in languages if isinstance(name, str)))
