"""Another order of the dimensions of the residual stream, and with it another layout of the sinusoids.

The paper interleaves sines and cosines; Marian and Pegasus have all sines first. Nothing else in the model knows one
dimension of the residual stream from another, so permuting all that reads from it or writes to it gives the same model
with the other layout, up to the order in which sums are taken.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["sines_first"]

# Axis of each tensor that lies in the residual stream, by the end of its name: maps that read from the stream have it
# as their input, maps that write to it as their output.
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
# What stays as it is: it lies inside the heads, inside the feed-forward network, or in the vocabulary.
UNTOUCHED = ("q_proj.bias", "k_proj.bias", "v_proj.bias", "fc1.bias", "lm_head.bias")


def sines_first(tensors: Mapping[str, torch.Tensor], hidden_size: int) -> dict[str, torch.Tensor]:
    """Tensors of a model with interleaved sinusoids as those of one whose sines all come first.

    Args:
        tensors: of an encoder-decoder without a transform before its head, by our names.
        hidden_size: width of the residual stream.

    Raises:
        ValueError: a tensor of which it is not known how it meets the residual stream.
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
    raise ValueError(f"{name} is no tensor of a vanilla Transformer, so its dimensions cannot be reordered.")
