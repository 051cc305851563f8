"""The linear maps of a model in use: packed in float32, in fewer bits, or as they are, all with the same call."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from ..models.kernels_activation_vanilla import activation
from ..models.layers_vanilla import FeedForward
from .low_precision import LowPrecisionLinear
from .packed_weights import PackedLinear, activated


class ReducedLinear:
    """The same call as `PackedLinear`, for a map in fewer bits."""

    def __init__(self, linear: LowPrecisionLinear) -> None:
        self.linear = linear

    def __call__(self, states: torch.Tensor, activation: str = "none") -> torch.Tensor:
        """As `PackedLinear`."""
        return activated(self.linear(states), activation)


class PlainLinear:
    """The same call as `PackedLinear`, for float64."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()

    def __call__(self, states: torch.Tensor, activation: str = "none") -> torch.Tensor:
        """As `PackedLinear`."""
        return activated(nn.functional.linear(states, self.weight, self.bias), activation)


LinearMap = PackedLinear | PlainLinear | ReducedLinear


def linear_map(linear: nn.Module) -> LinearMap:
    """A linear map by itself; float32 weights are not copied before they are packed."""
    if isinstance(linear, LowPrecisionLinear):
        return ReducedLinear(linear)
    packs = linear.weight.dtype == torch.float32
    return (PackedLinear if packs else PlainLinear)(linear.weight, linear.bias)


def joined_map(projections: list[tuple[nn.Module, float]]) -> LinearMap:
    """Several linear maps of the same input, each times a factor, as one: the outputs stand side by side."""
    maps = [linear for linear, _ in projections]
    weight = torch.cat([linear.weight * factor for linear, factor in projections])
    bias = None
    if maps[0].bias is not None:
        bias = torch.cat([linear.bias * factor for linear, factor in projections])
    if all(isinstance(linear, LowPrecisionLinear) for linear in maps):
        return ReducedLinear(LowPrecisionLinear(weight, bias, maps[0].precision))
    # Only float32 can be packed.
    return PackedLinear(weight, bias) if weight.dtype == torch.float32 else PlainLinear(weight, bias)


# The activation functions that `PackedLinear` computes together with the product.
_TOGETHER = {type(activation(name)): name for name in ("relu", "gelu", "gelu_new")}


class FlatFeedForward(NamedTuple):
    """The weights of a feed-forward network ("Attention Is All You Need", section 3.3), without gradients.

    Attributes:
        fc1: to the inner width.
        together: name of the activation that `fc1` computes, or "none".
        activation: the activation, if `fc1` does not compute it.
        fc2: back to the width of the model.
    """

    fc1: LinearMap
    together: str
    activation: nn.Module | None
    fc2: LinearMap

    @classmethod
    def of(cls, module: FeedForward) -> FlatFeedForward:
        """The network with the weights that the module has now, and with its activation."""
        together = _TOGETHER.get(type(module.activation), "none")
        after = module.activation if together == "none" else None
        return cls(linear_map(module.fc1), together, after, linear_map(module.fc2))

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """(tokens, hidden) to the same shape."""
        inner = self.fc1(states, self.together)
        return self.fc2(inner if self.activation is None else self.activation(inner))


__all__ = ["FlatFeedForward", "LinearMap", "PlainLinear", "ReducedLinear", "joined_map", "linear_map"]
