"""Files and folders that are either complete or absent: written aside, flushed to disk, then renamed.

Everything is written in a hidden folder beside its target, `.NAME.RANDOM.partial`, which contains a lock. The operating
system frees the lock when the process ends, however it ends. So the next write into the same folder recognises what a
dead process has left, puts back what it was replacing, and removes the rest; what a living process writes stays.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

# The hidden folders of unfinished writes end with this; they contain a lock, and perhaps what is being replaced.
_PARTIAL = ".partial"
_LOCK = "lock"
_REPLACED = "replaced"
_REMOVED = "removed"
# Names of files may have 255 bytes, and a character has up to 4.
_SHOWN_CHARACTERS = 40
# What a user can do about an error of the operating system.
_FULL = "free some space, and run the same command again"
_FORBIDDEN = "give a path where you may write"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "free some space or raise the quota, and run the same command again",
    errno.EFBIG: "the file system or a limit (ulimit -f) does not allow files of this size",
    errno.EIO: "the disk or the network folder does not answer; run the same command again when it does",
    errno.ESTALE: "the network folder has gone; run the same command again when it is back",
    errno.EROFS: _FORBIDDEN,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the symbolic links of the path form a circle",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
}
# Holders of this process. Some network file systems grant a lock to a process twice.
_own_holders: set[Path] = set()


def home_expanded(path: str) -> str:
    """The path with `~/` at its beginning replaced by the home folder; a shell does so only at the start of a word."""
    return os.path.expanduser(path) if path.startswith(("~/", f"~{os.sep}")) else path


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` in UTF-8 to `path`; a reader never sees half of it, and a failure leaves the old file as it was."""
    with file_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def file_aside(path: str | Path) -> Iterator[Path]:
    """Yields a path on the same disk as `path`, with the same suffix, to write to.

    On success the file is flushed to disk and renamed to `path`, with the permissions of an old file `path` or those
    that the umask allows. On any exception it is removed and `path` stays as it was. If `path` is a symbolic link, the
    file that it points to is written; if it is a device or a pipe, such as /dev/stdout, it receives the content at the
    end.

    Raises:
        ValueError: `path` is a folder.
        OSError: the disk is full, the folder is read-only, or another error of the operating system; the message names
            `path` and a remedy.
    """
    path = Path(path)
    with _explained_write_error(path):
        if path.is_dir():
            raise ValueError(f"{path} is a folder: give the name of a file.")
        if path.exists() and not path.is_file():
            with temporary_folder() as folder:
                yield (aside := folder / f"new{path.suffix}")
                with aside.open("rb") as written, path.open("wb") as device:
                    shutil.copyfileobj(written, device)
            return
        target = _resolved(path)
        with _holder(target) as holder:
            aside = holder / f"new{path.suffix}"
            yield aside
            _finish(aside, target.stat().st_mode if target.exists() else 0o666 & ~_umask())
            os.replace(aside, target)
            _flush_folder(target.parent)


@contextmanager
def folder_aside(path: str | Path, *, occupied: str | None = None) -> Iterator[Path]:
    """Yields a new folder on the same disk as `path` to write to.

    On success its files are flushed to disk and the folder takes the place of `path`. On any exception it is removed
    and `path` stays as it was. If `path` is a symbolic link, the folder that it points to is written.

    Args:
        path: the folder.
        occupied: None to replace a folder `path` whatever is in it. Otherwise only an empty one is replaced, one with
            the same files and contents stays as it is, and for any other this is the message of the error. So a command
            can be repeated if its process died after its work was done.

    Raises:
        ValueError: `path` is a file, or a mount point, which no folder can replace; or it is occupied, which is known
            when the contents can be compared.
        OSError: as for `file_aside`.
    """
    path = Path(path)
    with _explained_write_error(path):
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file: give the name of a folder.")
        if os.path.ismount(path):
            raise ValueError(f"{path} is a mount point, which cannot be replaced: give a new folder inside it.")
        target = _resolved(path)
        with _holder(target) as holder:
            aside = holder / "new"
            aside.mkdir()
            yield aside
            if occupied is None or not target.is_dir() or not any(target.iterdir()):
                replace_folder(aside, target)
            elif not _equal_folders(aside, target):
                raise ValueError(occupied)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder among the temporary files of the system, and removes it at the end."""
    with _holder(Path(os.path.realpath(tempfile.gettempdir()), "hf-vanilla")) as holder:
        folder = holder / "new"
        folder.mkdir()
        yield folder


def replace_folder(new: Path, path: Path) -> None:
    """Flushes the folder `new` to disk and renames it to `path`; an old `path` is removed after the rename.

    If the rename fails, the old `path` is put back. If the process dies between, the next write into the same parent
    folder puts it back.
    """
    mask = _umask()
    for folder, _, names in os.walk(new):
        os.chmod(folder, 0o777 & ~mask)
        for name in names:
            _finish(Path(folder, name), 0o666 & ~mask)
        _flush_folder(Path(folder))
    if path.exists():
        # A folder can be renamed into an empty one on POSIX only, so the old one moves away first.
        with _holder(path) as holder:
            replaced = holder / _REPLACED / path.name
            replaced.parent.mkdir()
            os.replace(path, replaced)
            os.replace(new, path)
            _flush_folder(path.parent)
            os.replace(replaced.parent, holder / _REMOVED)
    else:
        os.replace(new, path)
        _flush_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Removes the folder `path`, which disappears at once: it is renamed before its files are deleted."""
    with _holder(path) as holder:
        os.replace(path, holder / _REMOVED)
        _flush_folder(path.parent)


@contextmanager
def files_aside(folder: Path) -> Iterator[Path]:
    """Yields a new folder to write to, whose files move into `folder` on success, over files of the same name.

    Weights move last, and after them the index of several files of weights. So the files of a model that is found by
    its weights are all there.
    """
    with _explained_write_error(folder / "new"), _holder(folder / "new") as holder:
        aside = holder / "new"
        aside.mkdir()
        yield aside
        for file in aside.iterdir():
            _finish(file, 0o666 & ~_umask())
        for file in sorted(aside.iterdir(), key=_order_of_a_model):
            os.replace(file, folder / file.name)
        _flush_folder(folder)


def _order_of_a_model(file: Path) -> tuple[bool, bool, str]:
    return ".safetensors" in file.name, file.name.endswith(".safetensors.index.json"), file.name


def is_leftover(path: Path) -> bool:
    """Whether `path` is the hidden folder of a write that is not finished, or never will be."""
    return path.is_dir() and re.fullmatch(rf"\..*\{_PARTIAL}", path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Removes what dead processes have left unfinished in `folder`, and puts back what they were replacing.

    Every write into `folder` does this first.
    """
    from filelock import FileLock

    with suppress(OSError):
        for holder in [folder / name for name in os.listdir(folder) if is_leftover(folder / name)]:
            with suppress(OSError):  # among them Timeout: a living process has the lock
                # A folder of this name that is not ours has other files and no lock.
                is_ours = (holder / _LOCK).is_file() or not any(holder.iterdir())
                if holder in _own_holders or not is_ours or holder.is_symlink() or (holder / _LOCK).is_symlink():
                    continue
                lock = FileLock(holder / _LOCK)
                lock.acquire(timeout=0)
                _discard(holder, lock)


def check_inside(folder: Path, files: Iterable[Path]) -> None:
    """Checks that files to publish are in their folder and not elsewhere on this machine.

    Raises:
        ValueError: one is a symbolic link to a place outside `folder`; the message names both.
    """
    for file in files:
        target = Path(os.path.realpath(file))
        if not target.is_relative_to(os.path.realpath(folder)):
            raise ValueError(
                f"{file} is a link to {target}, outside of the folder, so it may be private: copy the file into the "
                "folder if it is to be published, or remove the link."
            )


@contextmanager
def _explained_write_error(path: Path) -> Iterator[None]:
    """Turns an error of the operating system, also one that a library passes on, into a line with path and remedy.

    safetensors and tokenizers, which are written in Rust, report such an error as an exception of their own.
    """
    try:
        yield
    except Exception as error:
        # An error on reading another file names that file, and is left as it is.
        foreign = isinstance(error, OSError) and error.filename is not None and not _concerns(path, str(error.filename))
        code = error.errno if isinstance(error, OSError) else _code_of_rust(error)
        if foreign or code not in _REMEDIES:
            raise
        explained = OSError(f"{path} could not be written: {os.strerror(code)}; {_REMEDIES[code]}.")
        explained.errno = code
        raise explained from error


def _code_of_rust(error: Exception) -> int | None:
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _concerns(path: Path, file: str) -> bool:
    """Whether `file` is `path`, a folder that contains it, or what is written aside for it."""
    target, place = Path(os.path.realpath(path)), Path(os.path.realpath(file))
    if target.is_relative_to(place):
        return True
    return place.is_relative_to(target.parent) and any(part.endswith(_PARTIAL) for part in place.parts)


def _resolved(path: Path) -> Path:
    """The absolute path, with symbolic links followed."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


@contextmanager
def _holder(path: Path) -> Iterator[Path]:
    """Yields a new hidden folder beside `path` with a lock in it, and removes it at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    holder, lock = _locked_holder(path)
    _own_holders.add(holder)
    try:
        yield holder
    finally:
        _own_holders.discard(holder)
        _discard(holder, lock)


def _locked_holder(path: Path) -> tuple[Path, FileLock]:
    """A new holder for `path`, and its lock, which this process has."""
    from filelock import FileLock

    while True:
        prefix = f".{path.name[:_SHOWN_CHARACTERS]}."
        holder = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix, suffix=_PARTIAL))
        lock = FileLock(holder / _LOCK)
        try:
            lock.acquire(timeout=0)
            return holder, lock
        except (FileNotFoundError, TimeoutError):
            # Another process took the holder for a leftover before it was locked.
            continue
        except OSError:
            shutil.rmtree(holder, ignore_errors=True)
            raise


def _discard(holder: Path, lock: FileLock) -> None:
    """Puts back a folder that was being replaced, if nothing has taken its place; removes the rest, then the lock."""
    replaced = holder / _REPLACED
    try:
        for old in replaced.iterdir() if replaced.is_dir() else ():
            if not os.path.lexists(holder.parent / old.name):
                os.replace(old, holder.parent / old.name)
                _flush_folder(holder.parent)
        if replaced.is_dir():  # so that it is not put back when it is half deleted
            os.replace(replaced, holder / _REMOVED)
        for entry in holder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _LOCK:
                entry.unlink(missing_ok=True)
        shutil.rmtree(holder, ignore_errors=True)
    finally:
        lock.release()
    if os.name == "nt":  # where a file cannot be removed while it is open
        shutil.rmtree(holder, ignore_errors=True)


def _equal_folders(one: Path, other: Path) -> bool:
    """Whether two folders have the same files with the same contents."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, other)]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0] if (one / name).is_file()
    )


def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _finish(file: Path, mode: int) -> None:
    """Gives a complete file its permissions, and flushes it to disk."""
    # Temporary files, through which some libraries write weights, can be read by their owner only.
    os.chmod(file, mode)
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
