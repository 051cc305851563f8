"""The allocator settings of both sides of a benchmark.

On Linux, glibc returns each large tensor to the system when it is freed, and the next allocation causes a page fault
for each of its pages. A training step frees and allocates the same sizes again and again, so keeping the memory costs
nothing and saves much time. glibc reads the settings when a process starts, so they must be in its environment.
"""

from __future__ import annotations

import os
import sys

TUNED = {
    "MALLOC_MMAP_MAX_": "0",  # large blocks are allocated on the heap, not by mmap
    "MALLOC_TRIM_THRESHOLD_": "17179869184",  # the heap is not returned to the system
    "MALLOC_TOP_PAD_": "268435456",  # the heap grows in steps of 256 MB
}
ALLOCATORS = ("default", "tuned")


def environment(allocator: str) -> dict[str, str]:
    """The environment of a child process with these allocator settings.

    Args:
        allocator: "default" (of the system) or "tuned".

    Raises:
        ValueError: `allocator` is not one of these.
    """
    if allocator not in ALLOCATORS:
        raise ValueError(f"allocator={allocator!r} must be one of {ALLOCATORS}")
    plain = {name: value for name, value in os.environ.items() if name not in TUNED}
    return plain | TUNED if allocator == "tuned" else plain


def is_tuned() -> bool:
    """Whether this process was started with the tuned settings."""
    return all(os.environ.get(name) == value for name, value in TUNED.items())


def restart_tuned() -> None:
    """Restarts this process with the tuned settings, unless it has them already.

    Call it at the start of a command, before anything is printed or written.
    """
    if sys.platform == "linux" and not is_tuned():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment("tuned"))
