"""The losses of the updates so far, by which the loss of the next one is judged."""

from __future__ import annotations

import math
from typing import Any

# Weight of a new loss in the running mean.
_WEIGHT = 0.01


class Losses:
    """The first loss, the running mean, and the number of bad updates in a row.

    The loss of an update has exploded if it is more than `limit` times the larger of the first loss and the running
    mean of the losses. The first loss sets the scale: a model that has learned well has losses near zero, and a hard
    batch may exceed them by any factor without being worse than before the training.
    """

    def __init__(self) -> None:
        self.first: float | None = None
        self.mean = 0.0
        self.in_a_row = 0

    def problem(self, loss: float, gradient_norm: float | None, limit: float | None) -> str | None:
        """What is wrong with an update, in words; None if nothing is.

        Args:
            loss: of the update.
            gradient_norm: norm of its gradient; None if it is not known.
            limit: see above; None for none.
        """
        if not math.isfinite(loss):
            return f"loss is {loss}"
        if gradient_norm is not None and not math.isfinite(gradient_norm):
            return f"norm of the gradient is {gradient_norm}"
        if limit is not None and self.first is not None and loss > limit * max(self.first, self.mean) > 0:
            larger = "the first loss" if self.first >= self.mean else "the mean of the losses before"
            return f"loss is {loss:.4g}, more than training.loss_limit={limit:g} times {larger},"
        return None

    def accept(self, loss: float) -> None:
        """Counts the loss of an update that is made."""
        self.in_a_row = 0
        if self.first is None:
            self.first = self.mean = loss
        self.mean += _WEIGHT * (loss - self.mean)

    def state_dict(self) -> dict[str, Any]:
        """The state from which `load_state_dict` continues."""
        return {"first": self.first, "mean": self.mean, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the result of `state_dict`."""
        self.first, self.mean, self.in_a_row = state["first"], state["mean"], state["in_a_row"]
