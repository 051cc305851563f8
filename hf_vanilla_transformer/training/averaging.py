"""A running average of a model's weights, kept in memory during training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .sharding import is_sharded, like


class WeightAverage:
    """A running average of a model's weights. It needs memory for copies of them, but no checkpoints.

    Args:
        model: its trainable parameters are averaged.
        kind: ``last``, the mean of the last snapshots, or ``ema``, an exponential moving average (bias-corrected as in
            Adam).
        last: number of snapshots in the mean.
        decay: of the moving average, per snapshot.

    Raises:
        ValueError: `kind` is neither ``last`` nor ``ema``.
    """

    def __init__(self, model: nn.Module, kind: str, *, last: int = 5, decay: float = 0.999) -> None:
        if kind not in ("last", "ema"):
            raise ValueError(f"kind must be 'last' or 'ema', not {kind!r}.")
        self.kind = kind
        self.decay = decay
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.snapshots: deque[dict[str, torch.Tensor]] = deque(maxlen=last)
        self.moving: dict[str, torch.Tensor] = {}
        self.count = 0

    @torch.no_grad()
    def update(self) -> None:
        """Adds the current weights to the average."""
        self.count += 1
        if self.kind == "last":
            # Reuse the memory of the oldest snapshot: allocating big tensors is slow.
            snapshot = self.snapshots.popleft() if len(self.snapshots) == self.snapshots.maxlen else {}
            for name, parameter in self.parameters.items():
                if name in snapshot:
                    snapshot[name].copy_(parameter)
                else:
                    snapshot[name] = parameter.detach().clone()
            self.snapshots.append(snapshot)
            return
        if not self.moving:
            self.moving = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}
        if is_sharded(self.parameters.values()):
            for name, parameter in self.parameters.items():
                self.moving[name].lerp_(parameter, 1 - self.decay)
            return
        torch._foreach_lerp_(list(self.moving.values()), list(self.parameters.values()), 1 - self.decay)

    @torch.no_grad()
    def weights(self) -> dict[str, torch.Tensor]:
        """The average by parameter name. Raises ValueError before the first `update`."""
        if self.count == 0:
            raise ValueError("There is no average yet: no snapshot was taken.")
        if self.kind == "ema":
            return {name: tensor / (1 - self.decay**self.count) for name, tensor in self.moving.items()}
        return {
            name: torch.stack([snapshot[name].double() for snapshot in self.snapshots]).mean(0).to(parameter.dtype)
            for name, parameter in self.parameters.items()
        }

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context, the model has the averaged weights; afterwards its own are restored."""
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._copy(self.weights())
        try:
            yield
        finally:
            self._copy(own)

    def copy_to_model(self) -> None:
        """Replaces the model's weights by the averaged ones."""
        self._copy(self.weights())

    @torch.no_grad()
    def _copy(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(weights[name])

    def state_dict(self) -> dict:
        """The state from which `load_state_dict` continues."""
        return {"count": self.count, "moving": self.moving, "snapshots": list(self.snapshots)}

    def load_state_dict(self, state: dict) -> None:
        """Continues from the result of `state_dict`, also with whole tensors for parameters that are divided."""
        self.count = state["count"]
        self.moving = self._divided(state["moving"])
        self.snapshots = deque(map(self._divided, state["snapshots"]), maxlen=self.snapshots.maxlen)

    def _divided(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights as the parameters are, under the model's own names: pickle writes equal strings twice."""
        return {name: like(weights[name], own) for name, own in self.parameters.items() if name in weights}
