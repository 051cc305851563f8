"""A clock that excludes evaluations from the training time, for limits in minutes and scores over time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class TrainingClock:
    """Counts the seconds since `start`, and the seconds of training among them. A resumed run continues its clock.

    Args:
        now: returns the time in seconds.
    """

    def __init__(self, now=time.monotonic) -> None:
        self._now = now
        self._before = (0.0, 0.0)
        self._started: float | None = None
        self._paused = 0.0

    def start(self) -> None:
        """Starts the clock; a second call has no effect."""
        if self._started is None:
            self._started = self._now()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time within the context counts as wall time, but not as training time."""
        began = self._now()
        try:
            yield
        finally:
            self._paused += self._now() - began

    @property
    def wall(self) -> float:
        """Seconds passed, including evaluations and checkpoints."""
        return self._before[0] + (0.0 if self._started is None else self._now() - self._started)

    @property
    def training(self) -> float:
        """Seconds of training, without evaluations and the writing of checkpoints."""
        passed = 0.0 if self._started is None else self._now() - self._started - self._paused
        return self._before[1] + passed

    def state_dict(self) -> dict[str, float]:
        """The times from which `load_state_dict` continues."""
        return {"wall": self.wall, "training": self.training}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continues from the times of an earlier run."""
        self._before = (state["wall"], state["training"])
