"""How much memory a fine-tuning needs, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...evaluation_mode import training_mode

_GRADIENT = 1
_ADAM = 2


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes, by what they are for.

    Attributes:
        weights: all parameters and buffers.
        training: a gradient and two moments of Adam for each parameter that is trained.
        activations: what the forward pass of the largest batch keeps for the backward pass.
    """

    weights: int
    training: int
    activations: int

    @property
    def total(self) -> int:
        """Their sum."""
        return self.weights + self.training + self.activations

    def __str__(self) -> str:
        return (
            f"about {size(self.total)}: {size(self.weights)} weights, {size(self.training)} gradients and Adam's "
            f"moments, {size(self.activations)} activations of the largest batch"
        )


def estimate_memory(
    model: nn.Module, row: Mapping[str, torch.Tensor], batch_size: int, *, precision: str = "fp32"
) -> MemoryEstimate:
    """Counts what a training step holds at its peak.

    Weights, gradients and moments are counted from the parameters. For the activations one row and then two are run
    forward in training mode, and what autograd keeps of them is counted (`torch.autograd.graph.saved_tensors_hooks`,
    each storage once, without the weights); a batch keeps what one row does and the difference for each further row.
    What a kernel needs for a moment, the text, Python and the libraries are not counted.

    Args:
        model: with the weights frozen that will not be trained; it is the same afterwards.
        row: one row as the collator makes it, of the greatest length: values (1, length), labels included.
        batch_size: rows of a batch of this length.
        precision: ``bf16`` and ``fp16`` run the rows in autocast.
    """
    one = _kept_bytes(model, row, precision)
    two = _kept_bytes(model, {name: torch.cat([value, value]) for name, value in row.items()}, precision)
    parameters = list(model.parameters())
    trained = sum(parameter.numel() * 4 for parameter in parameters if parameter.requires_grad)
    return MemoryEstimate(
        weights=sum(tensor.numel() * tensor.element_size() for tensor in (*parameters, *model.buffers())),
        training=trained * (_GRADIENT + _ADAM),
        activations=one + (batch_size - 1) * (two - one),
    )


def _kept_bytes(model: nn.Module, batch: Mapping[str, torch.Tensor], precision: str) -> int:
    """What autograd keeps for the backward pass of a batch."""
    owned = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}
    kept = []  # held, because what is freed may have its address used again

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    autocast: Any = nullcontext()
    if precision != "fp32":  # both are two bytes wide, and a CPU computes everything in bfloat16 only
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
    """Bytes as a person reads them."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count} bytes"
