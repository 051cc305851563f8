"""Ctrl-C in the middle of a training: the update is finished first."""

from __future__ import annotations

import signal
import threading
from typing import Any

from transformers import TrainerCallback


class InterruptibleCallback(TrainerCallback):
    """The first Ctrl-C (or SIGTERM, which schedulers send) sets `interrupted`; a second one ends the process at once.

    What becomes of the training then, a subclass says.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        """Takes over SIGINT and SIGTERM; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._interrupt)

    def release(self) -> None:
        """Gives the signals back to whoever handled them before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _interrupt(self, number: int, frame: Any) -> None:
        self.interrupted = True
        self.release()
