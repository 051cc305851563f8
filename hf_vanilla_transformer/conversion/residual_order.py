"""Permute the dimensions of the residual stream to change the layout of the sinusoids.

The paper interleaves sines and cosines; Marian and Pegasus put all sines first. Only the sinusoids depend on the order
of the dimensions. If all weights that read from or write to the residual stream are permuted, the model computes the
same function, up to the order of summation.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["sines_first"]

# Suffix of a tensor's name: its axis in the residual stream. It is the input of layers that read from the stream, and
# the output of layers that write to it.
RESIDUAL_AXIS = {
    "embed_tokens.weight": 1,
    "embed_token_types.weight": 1,
    "q_proj.weight": 1,
    "k_proj.weight": 1,
    "v_proj.weight": 1,
    "o_proj.weight": 0,
    "o_proj.bias": 0,
    "fc1.weight": 1,
    "fc2.weight": 0,
    "fc2.bias": 0,
    "norm.weight": 0,
    "norm.bias": 0,
    "lm_head.weight": 1,
}
# Unchanged tensors: their axes are the attention heads, the feed-forward network or the vocabulary.
UNTOUCHED = ("q_proj.bias", "k_proj.bias", "v_proj.bias", "fc1.bias", "lm_head.bias")


def sines_first(tensors: Mapping[str, torch.Tensor], hidden_size: int) -> dict[str, torch.Tensor]:
    """Converts the tensors of a model with interleaved sinusoids to those of a model with all sines first.

    Args:
        tensors: our tensors of an encoder-decoder without a transform before its head, by name.
        hidden_size: width of the residual stream.

    Raises:
        ValueError: a tensor has an unknown name.
    """
    dimensions = torch.arange(hidden_size)
    order = torch.cat([dimensions[0::2], dimensions[1::2]])
    return {name: _permute(name, tensor, order) for name, tensor in tensors.items()}


def _permute(name: str, tensor: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    if name.endswith(UNTOUCHED):
        return tensor
    for ending, axis in RESIDUAL_AXIS.items():
        if name.endswith(ending):
            return tensor.index_select(axis, order.to(tensor.device))
    raise ValueError(f"{name} is not a tensor of a vanilla Transformer, so its dimensions cannot be permuted.")
