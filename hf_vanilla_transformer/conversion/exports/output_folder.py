"""Which folders an export may be written to: checked before torch is imported."""

from __future__ import annotations

from pathlib import Path

# Every exported folder contains it, so that `overwrite` replaces earlier exports only.
REPORT_FILE = "export_report.json"


def check_output(output: Path) -> None:
    """Raises ValueError before any work if `output` is neither new nor an earlier export."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise ValueError(f"output={str(output)!r} is a file, not a folder; choose another name.")
    if not (output / REPORT_FILE).is_file():
        raise ValueError(f"output={str(output)!r} is not empty and not an earlier export; choose another folder.")
