"""What a run says when it cannot write: on a full disk, in a read-only folder, or when the folder has gone."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .checkpoints import checkpoints

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EROFS: "make the folder writable",
    errno.EACCES: "make the folder writable",
    errno.EPERM: "make the folder writable",
}
_GONE = "the folder was removed, or its disk is no longer there"
_REASONS = {
    errno.ESTALE: _GONE,
    errno.ENOENT: _GONE,
    errno.ENOTDIR: _GONE,
    errno.EIO: "the disk did not take all of it (it may be full, or the quota may be used up)",
}
# The file of torch that writes a checkpoint; its errors do not say why the system refused to write.
_WRITER_OF_TORCH = re.compile(r"inline_container|PytorchStreamWriter|unexpected pos")


@contextmanager
def explained_write_errors(name: str, folder: Path) -> Iterator[None]:
    """Turns an error of writing into an OSError of one line, with the state of the run and a remedy.

    Args:
        name: what is written, in words.
        folder: the output folder of the run.
    """
    try:
        yield
    except Exception as error:
        code = _code(error)
        if code is None:
            raise
        reason = _REASONS.get(code) or os.strerror(code)
        saved = checkpoints(folder)
        state = f"The newest complete checkpoint is {saved[-1]}" if saved else "There is no checkpoint yet"
        remedy = _REMEDIES.get(code, "see that the folder is there and can be written to")
        explained = OSError(
            f"{name} could not be written to {folder}: {reason}. {state}; {remedy}, and run the same command again to "
            "resume the run."
        )
        explained.errno = code
        raise explained from error


def _code(error: Exception) -> int | None:
    """The number of an error of the system; None for any other error.

    safetensors and tokenizers have errors of their own with the number in their text, and torch's have none.
    """
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    if found:
        return int(found[1])
    return errno.EIO if isinstance(error, RuntimeError) and _WRITER_OF_TORCH.search(str(error)) else None
