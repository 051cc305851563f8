"""Outputs of training steps, whose logits are computed when they are first read.

The loss of a large vocabulary is computed in chunks, so that the logits of a batch never exist together. Most training
loops read only the loss. A loop that reads the logits (distillation, the accuracy of a step) gets those of
transformers' own models, at the cost of computing them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions, MaskedLMOutput, Seq2SeqLMOutput

_REMEDY = "Pass return_logits=True to the model."


class PendingLogits:
    """The logits of a forward pass that is over.

    Args:
        compute: the function from the states to the logits.
        states: (batch, length, hidden), with the graph of the forward pass.
        weights: the parameters that `compute` uses.
    """

    def __init__(
        self, compute: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor, weights: list[nn.Parameter]
    ) -> None:
        self._compute = compute
        self._states = states
        self._weights = [(weight, weight._version) for weight in weights]
        self._grad_enabled = torch.is_grad_enabled()
        device = states.device.type
        self._autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))

    def logits(self) -> torch.Tensor:
        """The logits that the forward pass would have returned, as a part of its graph.

        Raises:
            RuntimeError: the weights have changed since.
        """
        if any(weight._version != version for weight, version in self._weights):
            raise RuntimeError(
                "The logits of this forward pass cannot be computed any more, because the weights have changed since. "
                f"Read them before the optimizer's step. {_REMEDY}"
            )
        device, dtype, enabled = self._autocast
        # Dropping gradients is the choice of either place: the forward pass, or the reader.
        grad_enabled = self._grad_enabled and torch.is_grad_enabled()
        with torch.set_grad_enabled(grad_enabled), torch.autocast(device, dtype=dtype, enabled=enabled):
            return self._compute(self._states)


def has_logits(logits: torch.Tensor | PendingLogits | None, return_logits: bool | None) -> bool:
    """Whether a head returns its ordinary output: with logits, or without, if the caller wants none."""
    return return_logits is False or isinstance(logits, torch.Tensor)


class LogitsWhenRead:
    """A mixin for an output class with the fields `loss` and `logits`; the argument `logits` is a `PendingLogits`.

    Reading logits as an attribute, by name, by number or through `to_tuple` computes them once. Loops over the output,
    such as `items` and torch's pytrees, do not: they belong to tools that move or convert tensors. Such a tool may
    build the output anew, and a compiled model has none pending; then reading the logits is an error that says how to
    get them.
    """

    _field = "logits"
    _pending: PendingLogits | None = None
    _built = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.__dict__["_built"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, PendingLogits):
            self.__dict__["_pending"] = value
            return
        super().__setattr__(name, value)
        if name == self._field and value is not None:  # keep the order of the fields
            names = list(self.__dataclass_fields__)
            for later in names[names.index(name) + 1 :]:
                if super().__contains__(later):
                    self.move_to_end(later)

    def _read(self, error: type[Exception]) -> torch.Tensor | None:
        """The logits; `error` is raised where none are pending."""
        if self._built and not super().__contains__(self._field):
            if self._pending is None:
                raise error(
                    f"{self._field} were not computed with the loss, and cannot be computed now, because the model is "
                    f"compiled or a tool copied its output (mixed precision of accelerate, DataParallel). {_REMEDY}"
                )
            setattr(self, self._field, self._pending.logits())
        return self.__dict__.get(self._field)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (name == self._field and self._pending is not None)

    def __getitem__(self, key: str | int | slice) -> Any:
        if key == self._field:
            return self._read(KeyError)
        if key == 0:  # the loss, which every trainer reads
            return next(iter(self.values()))
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The field of that name, or `default`."""
        if key == self._field and key in self:
            return self._read(KeyError)
        return super().get(key, default)

    def to_tuple(self) -> tuple:
        """All fields that are not None, the logits among them."""
        self._read(IndexError)
        return super().to_tuple()

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple:
        return type(self), (dict(self.items()),)


def when_read(name: str) -> property:
    """The attribute of that name of a `LogitsWhenRead`."""

    def get(output: Any) -> torch.Tensor | None:
        return output._read(AttributeError)

    def put(output: Any, value: torch.Tensor | None) -> None:
        output.__dict__[name] = value

    return property(get, put, doc=f"`{name}` of the class that this one extends, computed when it is first read.")


class MaskedLMTrainingOutput(LogitsWhenRead, MaskedLMOutput):
    """`MaskedLMOutput` of a training step."""

    logits = when_read("logits")


class CausalLMTrainingOutput(LogitsWhenRead, CausalLMOutputWithCrossAttentions):
    """`CausalLMOutputWithCrossAttentions` of a training step."""

    logits = when_read("logits")


class Seq2SeqLMTrainingOutput(LogitsWhenRead, Seq2SeqLMOutput):
    """`Seq2SeqLMOutput` of a training step."""

    logits = when_read("logits")


__all__ = [
    "CausalLMTrainingOutput",
    "LogitsWhenRead",
    "MaskedLMTrainingOutput",
    "PendingLogits",
    "Seq2SeqLMTrainingOutput",
    "has_logits",
    "when_read",
]
