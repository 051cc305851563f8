"""Ctrl-C and SIGTERM end a command quietly, wherever it is: at its start, at work, or while it writes a file.

Files are removed that are not complete (see `files.py`). The exit status is that of shells: 130 after Ctrl-C, 143 after
SIGTERM, which `kill`, containers and job schedulers send. A second signal ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


class Signals:
    """The signal that has arrived.

    Attributes:
        received: its number; None if none has arrived.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._process = os.getpid()

    def end(self, number: int, frame: Any) -> None:
        """Handles the first signal: ends the command by an exception. The next one has its usual effect."""
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != self._process:
            os.kill(os.getpid(), number)  # a child process, whose parent ends it this way
            return
        self.received = number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    @property
    def exit_status(self) -> int | None:
        """128 and the number of the signal that has arrived; None if none has."""
        return None if self.received is None else 128 + self.received


@contextmanager
def handled_signals(*, then_exit: bool) -> Iterator[Signals]:
    """Handles both signals in the context; what the caller ignores or handles itself stays so.

    Python allows it in the main thread only.

    Args:
        then_exit: whether the process ends after the context. Then Ctrl-C shows no traceback after it, either.
    """
    signals = Signals()
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before: dict[int, Any] = {}
    hook = sys.unraisablehook

    def unraisable(unraisable: Any) -> None:
        if signals.exit_status is None or unraisable.exc_type not in (KeyboardInterrupt, Terminated):
            return hook(unraisable)
        # Raised where Python cannot pass it on, such as in a destructor: nobody else would end the command.
        os._exit(signals.exit_status)

    if threading.current_thread() is threading.main_thread():
        for number, handler in usual.items():
            if signal.getsignal(number) == handler:
                before[number] = signal.signal(number, signals.end)
        sys.unraisablehook = unraisable
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if then_exit else handler)
        sys.unraisablehook = hook
