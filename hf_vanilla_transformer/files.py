"""Files and folders that are either complete or absent: written aside, flushed to disk, then renamed.

Reading a file that may be compressed is here, too.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading; a file that ends in `.gz` is decompressed.

    Raises:
        ValueError: the `.gz` file is damaged or is not compressed; raised while it is read.
    """
    if path.suffix != ".gz":
        with path.open("rb") as plain:
            yield plain
        return
    try:
        with gzip.open(path, "rb") as stream:
            yield stream  # type: ignore[misc]
    except gzip.BadGzipFile as error:
        raise ValueError(
            f"{path} is not a valid gzip file ({error}); download it again, or rename it if it is not compressed."
        ) from error
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{path} is cut off or damaged ({error}); download or compress it again.") from error


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` in UTF-8 to `path`; a reader never sees half of it, and a failure leaves the old file as it was."""
    with file_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def file_aside(path: str | Path) -> Iterator[Path]:
    """Yields a path beside `path`, with the same suffix, to write to.

    On success the file is flushed to disk and renamed to `path`. On any exception it is removed and `path` stays as it
    was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        _finish(aside)
        os.replace(aside, path)
        _flush_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def folder_aside(path: str | Path) -> Iterator[Path]:
    """Yields a new folder beside `path` to write to.

    On success its files are flushed to disk and the folder takes the place of `path`. On any exception it is removed
    and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield aside
        replace_folder(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def replace_folder(new: Path, path: Path) -> None:
    """Flushes the folder `new` to disk and renames it to `path`; an old `path` is removed after the rename.

    If the rename fails, the old `path` is put back.
    """
    mask = _umask()
    for folder, _, names in os.walk(new):
        os.chmod(folder, 0o777 & ~mask)
        for name in names:
            _finish(Path(folder, name))
        _flush_folder(Path(folder))
    if path.exists():
        # A folder can be renamed into an empty one on POSIX only, so the old one moves inside.
        holder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
        os.replace(path, holder / path.name)
        try:
            os.replace(new, path)
        except BaseException:
            os.replace(holder / path.name, path)
            raise
        finally:
            shutil.rmtree(holder, ignore_errors=True)
    else:
        os.replace(new, path)
    _flush_folder(path.parent)


def replace_files(new: Path, folder: Path) -> None:
    """Moves each file of the folder `new` into `folder`, over a file of the same name, and removes `new`."""
    for file in sorted(new.iterdir()):
        _finish(file)
        os.replace(file, folder / file.name)
    new.rmdir()
    _flush_folder(folder)


def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _finish(file: Path) -> None:
    """Gives a complete file the permissions that the umask allows, and flushes it to disk."""
    # Temporary files, through which some libraries write weights, can be read by their owner only.
    os.chmod(file, 0o666 & ~_umask())
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes renames inside `folder` survive a power failure; Windows cannot open a folder, and needs no such step."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
