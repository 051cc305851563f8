"""L2-SP: decay towards the weights that a training started from, instead of towards zero (Li et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, TrainerCallback

from .embeddings import vocabulary_parameters


class L2SP:
    """Ω(w) = α/2 ‖w − w⁰‖², Eq. 2 of Li et al. 2018, for all trainable weights; w⁰ are those of the start.

    It is used in one of two ways:

    * `attach(optimizer)`: before each update, every weight that has a gradient decays by learning rate × α towards its
      start. This is decoupled decay, as AdamW's is, with w⁰ in the place of zero; for plain gradient descent it is the
      gradient of Ω. `L2SPCallback` does it in any Trainer.
    * `penalty()` is Ω itself, to be added to the loss of a loop of one's own. Adam then divides its gradient by the
      running mean of squared gradients, like any other.

    Args:
        model: its weights, as they are now, are the start. Make this object before a training is resumed, not after.
        strength: α.
        known_tokens: rows from this number on of the embeddings and of the map to the vocabulary belong to new tokens
            and are left free; None pulls them to their start as well.

    Raises:
        ValueError: a negative strength.
    """

    def __init__(self, model: PreTrainedModel, strength: float, *, known_tokens: int | None = None) -> None:
        if strength < 0:
            raise ValueError(f"strength must be at least 0, but is {strength}.")
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
        """The rows that have a start: a view, so that what is done to it is done to the weights."""
        return weights[:rows] if weights.dim() else weights

    def penalty(self) -> torch.Tensor:
        """Ω of the weights as they are: a scalar to be added to a loss."""
        total: torch.Tensor | None = None
        for key, parameter in self._parameters.items():
            start = self._start_of(key, parameter)
            term = (self._known(parameter, self._rows[key]) - start).square().sum()
            total = term if total is None else total + term.to(total.device)
        if total is None:
            raise ValueError("The model has no trainable weights that could be pulled anywhere.")
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
        """Makes each step of `optimizer` decay the weights first; `remove()` of what is returned ends it.

        Raises:
            ValueError: the optimizer has none of the model's weights, as where FSDP or DeepSpeed cut them into shards.
        """
        # Accelerate wraps optimizers; the hook belongs to the one that steps.
        optimizer = getattr(optimizer, "optimizer", optimizer)
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not held & self._parameters.keys():
            raise ValueError(
                "The optimizer has none of the weights that L2SP was made with: they were replaced, by FSDP, DeepSpeed "
                "or another model. Make L2SP of the model that is trained, on whole weights (one process or DDP)."
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
        """The start, moved once to where the weights have gone."""
        start = self._start[key]
        if start.device != parameter.device or start.dtype != parameter.dtype:
            start = self._start[key] = start.to(parameter.device, parameter.dtype)
        return start


class L2SPCallback(TrainerCallback):
    """L2-SP in any Trainer of transformers.

    ```python
    trainer = Trainer(model, ..., callbacks=[L2SPCallback(L2SP(model, 1.0))])
    ```

    Args:
        l2_sp: made of the model before the training.
    """

    def __init__(self, l2_sp: L2SP) -> None:
        self.l2_sp = l2_sp
        self._handle: Any = None

    def on_train_begin(self, args, state, control, optimizer=None, **kwargs):
        """Attaches to the optimizer, which now exists."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = self.l2_sp.attach(optimizer)
