"""Checksums of the files of a folder, which tell a damaged file from a whole one.

They stand in `sha256sums.txt`, as the program sha256sum writes and reads it: ``sha256sum -c sha256sums.txt``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ..files import write_text

CHECKSUMS_FILE = "sha256sums.txt"

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_BLOCK = 2**20


def write_checksums(folder: Path, files: Iterable[Path] | None = None) -> None:
    """Writes the checksums of files into `folder`.

    Args:
        folder: of the checksums.
        files: files in `folder` or in its subfolders; None for all files.
    """
    if files is None:
        files = [file for file in folder.rglob("*") if file.is_file()]
    lines = [
        f"{_checksum(file)}  {file.relative_to(folder).as_posix()}\n"
        for file in sorted(files)
        if file.name != CHECKSUMS_FILE
    ]
    write_text(folder / CHECKSUMS_FILE, "".join(lines))


def damaged_file(folder: Path, *, only: str = "", needed: Iterable[str] = ()) -> str | None:
    """The first file that differs from its checksum, in words; None if all are whole or `folder` has no checksums.

    Args:
        folder: with the checksums.
        only: compares only files whose name ends with this.
        needed: names of files that must have a checksum.
    """
    if not (folder / CHECKSUMS_FILE).is_file():
        return None
    missing = set(needed)
    for number, line in enumerate((folder / CHECKSUMS_FILE).read_bytes().splitlines(), 1):
        found = _LINE.fullmatch(line.decode("utf-8", errors="replace"))
        # A file elsewhere is not of this folder, whoever wrote its name here.
        if found is None or Path(found[2]).is_absolute() or ".." in Path(found[2]).parts:
            return f"{CHECKSUMS_FILE} is damaged (line {number})"
        checksum, name = found.groups()
        missing.discard(name)
        if not name.endswith(only):
            continue
        if not (folder / name).is_file():
            return f"it has no {name}"
        if _checksum(folder / name) != checksum:
            return f"{name} is damaged: it differs from its checksum in {CHECKSUMS_FILE}"
    return f"{CHECKSUMS_FILE} is damaged: it has no {min(missing)}" if missing else None


def _checksum(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    checksum = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            checksum.update(block)
    return checksum.hexdigest()
