"""The output folder of the demo: checked before torch is imported."""

from __future__ import annotations

from pathlib import Path


def check_demo_folder(folder: str | Path) -> None:
    """Raises ValueError unless `folder` is new or empty."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file: choose another with --output.")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"The output folder {folder} is not empty: remove it, or choose another with --output.")
