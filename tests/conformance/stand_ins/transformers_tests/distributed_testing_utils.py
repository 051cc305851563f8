"""Processes for the distributed mixins: gloo on the CPU, one process a rank.

The source distribution imports this module without containing it; this is our own, with the functions that its
tensor-parallel and FSDP mixins call.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import traceback
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

_RANK_SECONDS = 300

# Ranks are forked from a server that has done the slow imports once, and no more than imports.
_IMPORTED_ONCE = [
    "torch.distributed.tensor",
    "torch.distributed.fsdp",
    "transformers.testing_utils",
    "transformers.modeling_utils",
]


def _get_distributed_device_type() -> str:
    """The kind of device that ranks compute on."""
    return "cpu"


def _get_distributed_backend() -> str:
    """The collective library for that device."""
    return "gloo"


def _get_rank_device(rank: int) -> torch.device:
    """The device of one rank; every rank shares the CPU."""
    return torch.device(_get_distributed_device_type())


def _set_rank_device(rank: int) -> None:
    """Select the device of one rank; the CPU needs no selecting."""


def _start_rank_processes(function: Callable[..., None], args: tuple, nprocs: int) -> None:
    """Run `function(rank, *args)` in `nprocs` new processes and wait for all.

    Raises:
        torch.multiprocessing.ProcessRaisedException: with the traceback of the first rank that failed.
        TimeoutError: if the ranks have not ended after a time that only a deadlock reaches.
    """
    multiprocessing.set_forkserver_preload(_IMPORTED_ONCE)
    context = mp.start_processes(function, args=args, nprocs=nprocs, join=False, start_method="forkserver")
    if not _join(context):
        for process in context.processes:
            process.kill()
        raise TimeoutError(f"{nprocs} ranks did not end within {_RANK_SECONDS} seconds.")


def _join(context: Any) -> bool:
    return any(context.join(timeout=10) for _ in range(_RANK_SECONDS // 10))


def _run_rank(
    rank: int, function: Callable[..., None], world_size: int, host: str, port: int, args: tuple, kwargs: dict
) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
    os.environ.update(MASTER_ADDR=host, MASTER_PORT=str(port))
    store = dist.TCPStore(host, port, is_master=False)
    dist.init_process_group(_get_distributed_backend(), store=store, rank=rank, world_size=world_size)
    try:
        function(rank, *args, **kwargs)
    except Exception:
        # The other ranks wait in a collective for this one: say why before all are ended.
        traceback.print_exc()
        raise
    finally:
        dist.destroy_process_group()


def run_distributed(world_size: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make `function(rank, ...)` a call that runs it on `world_size` ranks of one process group."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
            arguments = (function, world_size, store.host, store.port, args, kwargs)
            _start_rank_processes(_run_rank, arguments, world_size)

        return run

    return decorate
