"""Runs a function in forked processes that form a group, in a fraction of the time that new processes need."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def in_processes(function: Callable[[], object], folder: Path, processes: int = 2) -> list[str]:
    """Calls a function in every process of a group; returns the standard error of each.

    Args:
        function: called without arguments.
        folder: for the standard error.
        processes: their number.

    Raises:
        AssertionError: the function raised in one of them.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            _run(function, rank, processes, port, folder / f"stderr-{rank}")
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    printed = [(folder / f"stderr-{rank}").read_text(encoding="utf-8") for rank in range(processes)]
    assert codes == [0] * processes, "\n".join(printed)
    return printed


def _run(function: Callable[[], object], rank: int, processes: int, port: int, errors: Path) -> None:
    """The life of a child; it never returns."""
    code = 1
    try:
        with errors.open("w", encoding="utf-8") as sys.stderr:
            try:
                place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
                meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
                os.environ.update({name: str(value) for name, value in {**place, **meeting}.items()})
                _forget_the_single_process()
                function()
                code = 0
            except BaseException:
                traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)  # without pytest's own end


def _forget_the_single_process() -> None:
    """accelerate keeps the state of the process that was forked."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


__all__ = ["in_processes"]
