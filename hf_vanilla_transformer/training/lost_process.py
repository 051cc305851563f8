"""A process that another one waits for in vain: it is stopped, dead, or behind a broken network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

# What gloo says; it raises plain RuntimeErrors.
_SIGNS = ("timed out", "timeout", "closed by peer", "reset by peer", "broken pipe")
_KEY = "hf-vanilla/{rank}"


def is_lost_process(error: BaseException) -> bool:
    """Whether an error comes from waiting for another process."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def write_place(update: int) -> None:
    """Writes where this process runs and which update it has made, for the others to read. Needs a group."""
    place = f"{update} on {socket.gethostname()} with process id {os.getpid()}"
    _get_default_store().set(_KEY.format(rank=dist.get_rank()), place)


@contextmanager
def explained_lost_process(name: str, minutes: float) -> Iterator[None]:
    """Names the processes that are behind, where the wait for one of them ends in an error.

    Args:
        name: of this process.
        minutes: the time it waited at most.

    Raises:
        TimeoutError: a process was lost.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_lost_process(error) or not dist.is_initialized():
            raise
        raise TimeoutError(
            f"{name} waited in vain for another process, {_behind()}. It is stopped, has ended, or cannot be reached "
            f"(distributed.timeout_minutes={minutes:g}). Look at its own messages; the run can be resumed from the "
            "newest checkpoint."
        ) from error


def _behind() -> str:
    """The processes that have made the fewest updates; of equals, all but this one."""
    own, found = dist.get_rank(), {}
    for rank in range(dist.get_world_size()):
        try:
            key = _KEY.format(rank=rank)
            store = _get_default_store()
            found[rank] = store.get(key).decode() if store.check([key]) else "-1 and has not begun"
        except RuntimeError:  # the process that keeps the store has ended
            return "probably rank 0, which keeps the addresses of all"
    updates = {rank: int(place.split()[0]) for rank, place in found.items() if rank != own}
    least = min(updates.values())
    names = (f"rank {rank} (update {found[rank]})" for rank, update in updates.items() if update == least)
    return "or one of several: " * (list(updates.values()).count(least) > 1) + ", ".join(names)


__all__ = ["explained_lost_process", "is_lost_process", "write_place"]
