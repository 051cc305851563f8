"""L2-SP: weight decay towards the weights before training instead of towards zero (Li et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, TrainerCallback

from .embeddings import vocabulary_parameters


class L2SP:
    """Ω(w) = α/2 ‖w − w⁰‖², Eq. 2 of Li et al. 2018, for all trainable weights; w⁰ are the start weights.

    Use it in one of two ways:

    * `attach(optimizer)`: before each update, every weight with a gradient decays by learning rate × α towards its
      start value. This is decoupled decay like AdamW's, with w⁰ instead of zero; for plain gradient descent it equals
      the gradient of Ω. `L2SPCallback` attaches it in any Trainer.
    * `penalty()` returns Ω, to add to the loss of your own training loop. Adam then divides its gradient by the running
      mean of squared gradients, like the rest of the loss.

    Args:
        model: its current weights are the start weights. Create this object before a checkpoint is loaded, not after.
        strength: α.
        known_tokens: rows of the embeddings and of the LM head from this number on belong to new tokens and do not
            decay; with None, they decay to their start values like all others.

    Raises:
        ValueError: the strength is negative.
    """

    def __init__(self, model: PreTrainedModel, strength: float, *, known_tokens: int | None = None) -> None:
        if strength < 0:
            raise ValueError(f"strength must be at least 0, not {strength}.")
        self.strength = strength
        over_vocabulary = {id(parameter) for parameter in vocabulary_parameters(model)}
        self._parameters: dict[int, nn.Parameter] = {}
        self._start: dict[int, torch.Tensor] = {}
        self._rows: dict[int, int] = {}
        for parameter in model.parameters():
            if not parameter.requires_grad:
                continue
            key = id(parameter)
            rows = parameter.shape[0] if parameter.dim() else 1
            if known_tokens is not None and key in over_vocabulary:
                rows = min(rows, known_tokens)
            self._parameters[key] = parameter
            self._rows[key] = rows
            self._start[key] = self._known(parameter.detach(), rows).clone()

    @staticmethod
    def _known(weights: torch.Tensor, rows: int) -> torch.Tensor:
        """The rows that decay, as a view: changing it changes the weights."""
        return weights[:rows] if weights.dim() else weights

    def penalty(self) -> torch.Tensor:
        """Ω of the current weights: a scalar to add to a loss."""
        total: torch.Tensor | None = None
        for key, parameter in self._parameters.items():
            start = self._start_of(key, parameter)
            term = (self._known(parameter, self._rows[key]) - start).square().sum()
            total = term if total is None else total + term.to(total.device)
        if total is None:
            raise ValueError("The model has no trainable weights: L2-SP has nothing to decay.")
        return 0.5 * self.strength * total

    def distance(self) -> float:
        """‖w − w⁰‖: how far the weights have moved."""
        with torch.no_grad():
            squares = [
                float(
                    (self._known(parameter, self._rows[key]) - self._start_of(key, parameter)).double().square().sum()
                )
                for key, parameter in self._parameters.items()
            ]
        return sum(squares) ** 0.5

    def attach(self, optimizer: torch.optim.Optimizer) -> Any:
        """Decays the weights before each step of `optimizer`; call `remove()` on the returned handle to stop.

        Raises:
            ValueError: the optimizer has other parameters than the model, for example the shards of FSDP or DeepSpeed.
        """
        # Accelerate wraps optimizers; the hook belongs on the inner one, whose step runs.
        optimizer = getattr(optimizer, "optimizer", optimizer)
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not held & self._parameters.keys():
            raise ValueError(
                "The optimizer holds other parameters than the model of L2SP: FSDP or DeepSpeed replaced them, or it "
                "belongs to another model. Create L2SP with the trained model, in one process or with DDP."
            )
        return optimizer.register_step_pre_hook(lambda stepping, *_: self.decay(stepping.param_groups))

    @torch.no_grad()
    def decay(self, groups: list[Mapping[str, Any]]) -> None:
        """w ← w − lr α (w − w⁰), with the learning rate of each group of parameters."""
        for group in groups:
            part = float(group["lr"]) * self.strength
            if part == 0:
                continue
            keys = [id(parameter) for parameter in group["params"] if parameter.grad is not None]
            keys = [key for key in keys if key in self._parameters]
            if keys:
                weights = [self._known(self._parameters[key].data, self._rows[key]) for key in keys]
                starts = [self._start_of(key, self._parameters[key]) for key in keys]
                torch._foreach_lerp_(weights, starts, part)

    def _start_of(self, key: int, parameter: nn.Parameter) -> torch.Tensor:
        """The start weights, moved once to the device and dtype of the parameter."""
        start = self._start[key]
        if start.device != parameter.device or start.dtype != parameter.dtype:
            start = self._start[key] = start.to(parameter.device, parameter.dtype)
        return start


class L2SPCallback(TrainerCallback):
    """L2-SP in any Trainer.

    ```python
    trainer = Trainer(model, ..., callbacks=[L2SPCallback(L2SP(model, 1.0))])
    ```

    Args:
        l2_sp: created from the model before training.
    """

    def __init__(self, l2_sp: L2SP) -> None:
        self.l2_sp = l2_sp
        self._handle: Any = None

    def on_train_begin(self, args, state, control, optimizer=None, **kwargs):
        """Attaches L2-SP to the optimizer, which exists only from here on."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = self.l2_sp.attach(optimizer)
