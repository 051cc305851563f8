"""Layer normalisation, and the residual connection with it, as functions of weights, without a module's overhead."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn


class Norm(NamedTuple):
    """The weights of a layer normalisation (Ba et al. 2016), without gradients.

    Attributes:
        shape: sizes of the dimensions that are normalised, the last ones.
        weight: factor of each element.
        bias: summand of each element.
        eps: added to the variance.
    """

    shape: tuple[int, ...]
    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    @classmethod
    def of(cls, module: nn.LayerNorm) -> Norm:
        """The weights that the module has now; they are not copied."""
        return cls(tuple(module.normalized_shape), module.weight.detach(), module.bias.detach(), module.eps)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """(..., hidden) to the same shape."""
        return torch.layer_norm(states, self.shape, self.weight, self.bias, self.eps)


def residual(
    states: torch.Tensor, norm: Norm, sublayer: Callable[[torch.Tensor], torch.Tensor], norm_first: bool
) -> torch.Tensor:
    """The residual connection around a sublayer, as `TransformerLayer.residual` without dropout.

    Args:
        states: (tokens, hidden).
        norm: of the sublayer.
        sublayer: to the same shape. Its output is overwritten.
        norm_first: whether the normalisation comes before the sublayer.
    """
    if norm_first:
        return sublayer(norm(states)).add_(states)
    return norm(sublayer(states).add_(states))


__all__ = ["Norm", "residual"]
