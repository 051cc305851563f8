"""Faults in file operations: what a process that dies, or a disk that is full, leaves behind.

Python reports each of its file operations as an audit event, whichever function performs it. The writers of
safetensors, tokenizers and torch, which are not written in Python, are wrapped.

`states` answers for every n at once what a kill before the n-th operation leaves: it runs the code once and copies the
folder before each operation, except copies that are equal. In a copy, files that were not flushed to disk are cut in
half, as after a power failure. `failures` lets one operation fail, as on a full disk, in one run for each operation.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import tokenizers
import torch
from safetensors import SafetensorError

_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Operations that need no space; a full disk does not stop them.
_FREE = {"os.remove", "os.rmdir", "os.chmod", "os.rename"}
_EVENTS = {"os.mkdir", "os.link", "os.symlink", "os.truncate", *_FREE}
# Folders of unfinished writes; see hf_vanilla_transformer/files.py.
_UNFINISHED = re.compile(r"(\..*)\.\w+\.partial")


@dataclass(frozen=True)
class Operation:
    """One file operation below the watched folder.

    Attributes:
        kind: name of the audit event, or of the wrapped writer.
        path: what it changes.
        site: file and line of each caller, the innermost first.
    """

    kind: str
    path: Path
    site: tuple[tuple[str, int], ...]


class _Watch:
    """Calls `before` with every file operation below `root`; it may raise the error of the operation."""

    def __init__(self, root: Path, before: Callable[[Operation], None]) -> None:
        self.root = os.path.realpath(root)
        self.before = before
        self.unflushed: set[str] = set()
        self.thread = threading.get_ident()
        self.busy = False

    def operation(self, kind: str, path: str | None) -> None:
        """Reports an operation, except those of `before` itself and of other threads."""
        if path is None or self.busy or threading.get_ident() != self.thread or not path.startswith(self.root):
            return
        self.busy = True
        try:
            self.before(Operation(kind, Path(path), _site()))
        finally:
            self.busy = False

    def written(self, path: str) -> None:
        """Remembers a file that may not be on disk."""
        if path.startswith(self.root):
            self.unflushed.add(path)

    def renamed(self, old: str, new: str) -> None:
        """Follows unflushed files to their new names."""
        moved = {path for path in self.unflushed if path == old or path.startswith(old + os.sep)}
        self.unflushed = (self.unflushed - moved) | {new + path[len(old) :] for path in moved}


_watch: _Watch | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _watch
    if watch is None or watch.busy:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not flags & _WRITE:
            return
        path = _absolute(path)
        watch.operation("open", path)
        watch.written(path)
    elif event in _EVENTS:
        descriptor = arguments[-1] if isinstance(arguments[-1], int) else -1
        path = _absolute(arguments[1] if event == "os.rename" else arguments[0], descriptor)
        if event == "os.mkdir" and os.path.isdir(path):
            return  # changes nothing
        watch.operation(event, path)
        if event == "os.rename":
            watch.renamed(_absolute(arguments[0], arguments[2]), path)


sys.addaudithook(_audit)


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    """Watches the file operations in the context, also those of libraries that are not written in Python."""
    global _watch
    fsync, serialize = os.fsync, safetensors.torch.serialize_file
    save_tokenizer, save_torch = tokenizers.Tokenizer.save, torch.save

    def flush(descriptor: int) -> None:
        path = _absolute("", descriptor)
        watch.operation("fsync", path)
        fsync(descriptor)
        watch.unflushed.discard(path)

    def wrapped(kind: str, save: Callable[..., Any], position: int) -> Callable[..., Any]:
        def saved(*arguments: Any, **options: Any) -> Any:
            if not isinstance(arguments[position], (str, os.PathLike)):
                return save(*arguments, **options)
            path = _absolute(arguments[position])
            watch.operation(kind, path)
            watch.written(path)
            return save(*arguments, **options)

        return saved

    os.fsync = flush
    safetensors.torch.serialize_file = wrapped("safetensors", serialize, 1)
    tokenizers.Tokenizer.save = wrapped("tokenizers", save_tokenizer, 1)
    torch.save = wrapped("torch", save_torch, 1)
    _watch = watch
    try:
        yield
    finally:
        _watch = None
        os.fsync, safetensors.torch.serialize_file = fsync, serialize
        tokenizers.Tokenizer.save, torch.save = save_tokenizer, save_torch


def operations(root: Path, run: Callable[[], Any]) -> list[Operation]:
    """The file operations below `root` of a call of `run`."""
    found: list[Operation] = []
    with _watching(_Watch(root, found.append)):
        run()
    return found


def states(root: Path, run: Callable[[], Any], store: Path, *, appended: Collection[str] = ()) -> list[Path]:
    """The different states in which a kill can leave `root` during a call of `run`, each as a copy of `root`.

    Args:
        root: the watched folder.
        run: the code, which is called once.
        store: an empty folder for the copies, outside of `root`.
        appended: names of files that grow line by line. Of their lines that were not flushed, half of the last is cut.

    Raises:
        AssertionError: at some time, another file that was not flushed to disk had a finished name.
    """
    copies: list[Path] = []
    seen: set[Hashable] = set()
    last: Operation | None = None

    def copy(operation: Operation | None) -> None:
        nonlocal last
        before, last = last, operation
        if before is not None and before.kind != "os.rename" and _deep_in_unfinished(before.path):
            return  # it changed nothing that distinguishes two states
        half = {path for path in watch.unflushed if os.path.isfile(path)}
        grown = {path for path in half if os.path.basename(path) in appended}
        finished = [path for path in half - grown if not any(map(_UNFINISHED.fullmatch, Path(path).parts))]
        assert not finished, f"{finished} are not on disk, but have finished names, before {operation}"
        state = _state(root, half)
        if state not in seen:
            seen.add(state)
            copies.append(store / str(len(copies)))

            def link(path: str, copied: str) -> None:
                """Complete files are replaced, not changed, so that a link is as good as a copy, and sooner made."""
                changes = os.path.realpath(path) in half or os.path.basename(path) in appended
                (shutil.copy2 if changes else os.link)(path, copied)

            shutil.copytree(root, copies[-1], symlinks=True, copy_function=link)
            for path in half:
                torn = copies[-1] / os.path.relpath(path, watch.root)
                size = torn.stat().st_size
                line = len(torn.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]) if path in grown else size
                os.truncate(torn, size - (line + 1) // 2)

    watch = _Watch(root, copy)
    with _watching(watch):
        run()
    watch.unflushed.clear()
    copy(None)
    return copies


def failures(
    root: Path, run: Callable[[], Any], reset: Callable[[], None], *, each: bool = False
) -> Iterator[tuple[Operation, Any]]:
    """Lets one file operation after the other fail with "no space left on device", each in a call of `run` of its own.

    Args:
        root: the watched folder.
        run: the code.
        reset: called before each call of `run`, to restore the first state of `root`.
        each: whether to fail every operation; otherwise one of those that the same lines of code perform.

    Yields:
        The operation that failed, and what `run` returned.
    """
    reset()
    found = operations(root, run)
    chosen = {operation.site if not each else number: number for number, operation in enumerate(found)}
    for number in sorted(chosen.values()):
        if _needs_no_space(found[number]):
            continue
        reset()
        left = number

        def fail(operation: Operation) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                raise _full_disk(operation)

        with _watching(_Watch(root, fail)):
            result = run()
        yield found[number], result


@dataclass(frozen=True)
class Failure:
    """What follows from one failed operation.

    Attributes:
        operation: that failed.
        error: name of the class of the exception that `run` raised; empty if it raised none.
        message: of the exception.
        state: a copy of the folder, as the exception left it.
    """

    operation: Operation
    error: str
    message: str
    state: Path


def failures_of_one_run(root: Path, run: Callable[[], Any], store: Path, *, each: bool = False) -> list[Failure]:
    """Like `failures`, but `run` is called once: each failure happens in a copy of the process, which then ends.

    Args:
        root: the watched folder.
        run: the code.
        store: an empty folder for the copies, outside of `root`.
        each: whether to fail every operation; otherwise one of each line that writes, and one of each line that calls
            `files.py`.
    """
    found: list[Failure] = []
    seen: set[Hashable] = set()
    parent = os.getpid()

    def fail(operation: Operation) -> None:
        if os.getpid() != parent or _needs_no_space(operation):
            return
        ours = [place for place in operation.site if _is_ours(place[0])]
        writer = (operation.kind, *(place for place in ours if place[0].endswith("files.py")))
        caller = tuple(place for place in ours if not place[0].endswith("files.py"))
        if {writer, caller} <= seen and not each:
            return
        seen.update((writer, caller))
        before = store / "before"
        shutil.copytree(root, before, symlinks=True)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            global _write_to
            _write_to = write
            raise _full_disk(operation)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as pipe:
            error, _, message = pipe.read().partition(" ")
        os.waitpid(child, 0)
        state = store / str(len(found))
        shutil.copytree(root, state, symlinks=True)
        found.append(Failure(operation, error, message, state))
        _restore(root, before)
        shutil.rmtree(before)

    error = ""
    try:
        with _watching(_Watch(root, fail)):
            run()
    except BaseException as raised:
        if os.getpid() == parent:
            raise
        error = f"{type(raised).__name__} {raised}"
    if os.getpid() != parent:
        os.write(_write_to, error.encode())
        os._exit(0)
    return found


_write_to = -1


def _restore(root: Path, before: Path) -> None:
    """Makes `root` equal to its copy again; unchanged files stay, because the process may have them open."""
    for folder, folders, names in os.walk(root, topdown=False):
        copied = before / os.path.relpath(folder, root)
        for name in names:
            if not os.path.lexists(copied / name):
                os.remove(os.path.join(folder, name))
        for name in folders:
            if not os.path.lexists(copied / name):
                os.rmdir(os.path.join(folder, name))
    for folder, folders, names in os.walk(before):
        target = root / os.path.relpath(folder, before)
        for name in folders:
            (target / name).mkdir(exist_ok=True)
        for name in names:
            old, now = os.lstat(os.path.join(folder, name)), target / name
            if not now.exists() or (now.stat().st_mtime_ns, now.stat().st_size) != (old.st_mtime_ns, old.st_size):
                shutil.copy2(os.path.join(folder, name), now)


def _needs_no_space(operation: Operation) -> bool:
    return operation.kind in _FREE or (operation.kind == "os.mkdir" and operation.path.is_dir())


def _is_ours(file: str) -> bool:
    return f"{os.sep}hf_vanilla_transformer{os.sep}" in file


def _full_disk(operation: Operation) -> Exception:
    """The error of a full disk in the form that the writer gives it."""
    reason = f"{os.strerror(errno.ENOSPC)} (os error {errno.ENOSPC})"
    if operation.kind == "safetensors":
        operation.path.write_bytes(b"half")
        return SafetensorError(f"Error while serializing: I/O error: {reason}")
    if operation.kind == "tokenizers":
        return Exception(reason)
    if operation.kind == "torch":
        return RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file data/0")
    if operation.kind == "fsync":
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(operation.path))


def _state(root: Path, unflushed: set[str]) -> Hashable:
    """What distinguishes two states: the finished files; of unfinished writes, the parts and what they replace."""
    found = []
    waiting = [os.fspath(root)]
    while waiting:
        folder = waiting.pop()
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                if (unfinished := _UNFINISHED.fullmatch(entry.name)) is not None:
                    replaced = os.path.join(entry.path, "replaced")
                    old = tuple(sorted(os.listdir(replaced))) if os.path.isdir(replaced) else ()
                    found.append((folder, unfinished[1], *sorted(os.listdir(entry.path)), old))
                else:
                    found.append((entry.path,))
                    waiting.append(entry.path)
            else:
                status = entry.stat(follow_symlinks=False)
                found.append((entry.path, status.st_ino, status.st_size, status.st_mtime_ns))
    return frozenset(found)


def _deep_in_unfinished(path: Path) -> bool:
    """Whether a file is inside a folder of an unfinished write, two levels below its holder or more."""
    parts = path.parts
    return any(map(_UNFINISHED.fullmatch, parts[:-2]))


def _site() -> tuple[tuple[str, int], ...]:
    frame, site = sys._getframe(2), []
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            site.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(site)


def _absolute(path: Any, descriptor: int = -1) -> str:
    """The real path of an audited file name, which may be relative to an open folder."""
    path = os.fsdecode(path)
    if not os.path.isabs(path) and descriptor >= 0:
        path = os.path.join(os.readlink(f"/proc/self/fd/{descriptor}"), path).rstrip(os.sep)
    return os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
