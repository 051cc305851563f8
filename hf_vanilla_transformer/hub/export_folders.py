"""Which folders an exported model may be written to: checked before torch is imported."""

from __future__ import annotations

from pathlib import Path

CARD_TEXT_FILE = "card.yaml"
# `overwrite` replaces a folder only if it has all of the first and one of the second: then `export_folder` wrote it.
_FILES_OF_EXPORT = ("config.json", "README.md")
_FILES_OF_OURS = ("configuration_vanilla.py", CARD_TEXT_FILE)


def check_export_folder(folder: str | Path) -> None:
    """Raises ValueError before any work if `folder` is neither new nor an earlier export."""
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder: choose another name.")
    if not any(folder.iterdir()):
        return
    exported = all((folder / name).is_file() for name in _FILES_OF_EXPORT) and any(
        (folder / name).is_file() for name in _FILES_OF_OURS
    )
    if not exported:
        raise ValueError(f"{folder} is not empty and not an exported model: choose another folder.")
