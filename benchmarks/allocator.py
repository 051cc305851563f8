"""The allocator settings under which both sides of a benchmark run.

On Linux, glibc gives every large tensor back to the system when it is freed and takes a page fault for each page
at the next allocation. A training step frees and allocates the same sizes over and over, so keeping the memory costs
nothing and saves much. The settings are read once, when a process starts: they must be in its environment before.
"""

from __future__ import annotations

import os
import sys

TUNED = {
    "MALLOC_MMAP_MAX_": "0",  # large blocks come from the heap, not from a mapping of their own
    "MALLOC_TRIM_THRESHOLD_": "17179869184",  # the heap is not given back
    "MALLOC_TOP_PAD_": "268435456",  # and grows in steps of 256 MB
}
ALLOCATORS = ("default", "tuned")


def environment(allocator: str) -> dict[str, str]:
    """The environment of a child process that runs with the named allocator settings.

    Args:
        allocator: "default" (as the system has it) or "tuned".

    Raises:
        ValueError: for any other name.
    """
    if allocator not in ALLOCATORS:
        raise ValueError(f"allocator={allocator!r} is not one of {ALLOCATORS}")
    plain = {name: value for name, value in os.environ.items() if name not in TUNED}
    return plain | TUNED if allocator == "tuned" else plain


def is_tuned() -> bool:
    """Whether this process was started with the tuned settings."""
    return all(os.environ.get(name) == value for name, value in TUNED.items())


def restart_tuned() -> None:
    """Replace this process by itself with the tuned settings, unless it has them already.

    Only for the entry of a command, before anything was printed or written.
    """
    if sys.platform == "linux" and not is_tuned():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment("tuned"))
