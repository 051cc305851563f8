"""Estimates the memory of a training before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..evaluation_mode import training_mode

_GRADIENT = 1
_ADAM = 2


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of a training in bytes, by purpose.

    Attributes:
        weights: all parameters and buffers.
        training: a gradient and two moments of Adam for each trained parameter.
        activations: tensors that the forward pass of the largest batch keeps for the backward pass.
        copies: further copies of the trained weights: averages, or the start weights of L2-SP.
    """

    weights: int
    training: int
    activations: int
    copies: int = 0

    @property
    def total(self) -> int:
        """The sum of all."""
        return self.weights + self.training + self.activations + self.copies

    def __str__(self) -> str:
        copies = f", {size(self.copies)} copies of the weights" if self.copies else ""
        return (
            f"about {size(self.total)}: {size(self.weights)} weights, {size(self.training)} gradients and Adam's "
            f"moments, {size(self.activations)} activations of the largest batch{copies}"
        )


def estimate_memory(
    model: nn.Module,
    batch_of: Callable[[int], Mapping[str, torch.Tensor]],
    rows: int,
    *,
    precision: str = "fp32",
    copies: int = 0,
) -> MemoryEstimate:
    """Estimates the peak memory of a training step.

    Weights, gradients and moments are counted from the parameters. For the activations, batches of one row and of two
    rows run forward in training mode, and the tensors that autograd keeps are counted
    (`torch.autograd.graph.saved_tensors_hooks`, each storage once, without the weights). The difference is the memory
    of each further row. The estimate excludes temporary memory of kernels, the text, Python and the libraries. Muon
    keeps one moment of a matrix instead of two, so its estimate is an upper bound.

    Args:
        model: with untrained weights frozen; unchanged by the call.
        batch_of: returns a batch of the given number of rows of the greatest length, with labels.
        rows: rows of this length in the largest batch.
        precision: ``bf16`` and ``fp16`` run the forward pass in autocast.
        copies: further copies of the trained weights, such as averages.
    """
    one = _kept_bytes(model, batch_of(1), precision)
    two = _kept_bytes(model, batch_of(2), precision)
    parameters = list(model.parameters())
    trained = sum(parameter.numel() * 4 for parameter in parameters if parameter.requires_grad)
    return MemoryEstimate(
        weights=sum(tensor.numel() * tensor.element_size() for tensor in (*parameters, *model.buffers())),
        training=trained * (_GRADIENT + _ADAM),
        activations=one + (rows - 1) * (two - one),
        copies=trained * copies,
    )


def _kept_bytes(model: nn.Module, batch: Mapping[str, torch.Tensor], precision: str) -> int:
    """Bytes that autograd keeps for the backward pass of a batch."""
    owned = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}
    kept = []  # keeps the tensors alive: the address of a freed tensor may be used again

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    autocast: Any = nullcontext()
    if precision != "fp32":  # both have two bytes; CPU kernels support bfloat16 everywhere
        autocast = torch.autocast(next(model.parameters()).device.type, torch.bfloat16)
    state = torch.get_rng_state()
    try:
        with training_mode(model), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast:
            loss = model(**batch).loss
    finally:
        torch.set_rng_state(state)
    del loss
    return sum(storages.values())


def size(count: int) -> str:
    """A number of bytes with its unit."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count} bytes"
