"""The names of the checkpoints of a run, which are read without torch."""

from __future__ import annotations

import re
from pathlib import Path

CHECKPOINTS_FOLDER = "checkpoints"


def checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoints in `folder`, or in its ``checkpoints``, ordered by update number."""
    folder = Path(folder)
    for place in (folder / CHECKPOINTS_FOLDER, folder):
        found = [path for path in place.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
        if found:
            return sorted(found, key=update_of)
    return []


def update_of(checkpoint: Path) -> int:
    """The number of the update after which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])
