"""Attention kernels: the same numbers as `eager_attention_forward` (equation 1), sooner.

`ALL_ATTENTION_FUNCTIONS` is the table from which the attention modules take their kernel. It is transformers' own table
with two changes. For `sdpa` on CPU it takes a faster way where there is one. For flash attention it takes packed rows
apart, and corrects the mask of cross-attention. Everything else, kernels that users register included, comes from
transformers.

A first reading can take the table for `transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as TRANSFORMERS_ATTENTION_FUNCTIONS
from transformers.modeling_utils import AttentionInterface

from .kernels_dropout_vanilla import dropout as drop
from .kernels_packing_vanilla import PackedSequences, SequenceLengths
from .plain_values_vanilla import has_plain_cpu_values

# Floats in an AVX-512 vector. The softmax of torch handles rows that do not fill one number by number.
_VECTOR = 16

# Up to this length, the fused kernel of torch for CPU is slower than two matrix products and a softmax.
_SHORT = 32

# Where a query has more keys than this, the scores of so many queries are computed at a time, and again in the backward
# pass: n² scores of every head and layer would not stay in memory. Shorter sequences compute nothing twice.
_LONG = 2048
_BLOCK = 256


class VanillaAttentionInterface(AttentionInterface):
    """The attention kernels of transformers, with our `sdpa` and a correction of flash attention.

    What this instance lacks comes from the global table of transformers.
    """

    def __init__(self) -> None:
        super().__init__()
        self["sdpa"] = sdpa_attention_forward

    def get_interface(self, attn_implementation: str, default: Callable) -> Callable:
        """The kernel of that name; `default` for `eager`."""
        kernel = super().get_interface(attn_implementation, default)
        if "flash" in (attn_implementation or ""):
            return functools.partial(flash_attention_forward, kernel)
        return kernel


def sdpa_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | PackedSequences | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The `sdpa` kernel of transformers, or a faster equivalent on CPU.

    Packed rows are attended to sequence by sequence. Dropout, gradients of short sequences, and a batch without rows
    use `plain_sdpa_forward`. Shapes as in `eager_attention_forward`.
    """
    if isinstance(attention_mask, PackedSequences):

        def attend(*group: torch.Tensor | None) -> torch.Tensor:
            return sdpa_attention_forward(module, *group, **kwargs)[0]

        return attention_mask.attend(query, key, value, attend), None
    if _takes_plain(query, key, kwargs.get("dropout", 0.0)):
        return plain_sdpa_forward(module, query, key, value, attention_mask, **kwargs)
    return TRANSFORMERS_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, **kwargs)


def _takes_plain(query: torch.Tensor, key: torch.Tensor, dropout: float) -> bool:
    if not has_plain_cpu_values(key):
        return False
    if key.numel() == 0:  # a batch without rows, which the fused kernel refuses
        return True
    # Not by the mode of the module: without dropout, training mode gives the numbers of evaluation.
    return dropout > 0 or (query.requires_grad and key.shape[2] <= _SHORT)


def plain_sdpa_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The same function as `sdpa`, as two matrix products and a softmax.

    The fused kernel of torch for CPU has no dropout, and its fallback is slow. Shapes as in `eager_attention_forward`.
    The mask is that of `sdpa`: True where attention is allowed, or None for everywhere (in a causal module: for all
    positions up to the query).

    From `_LONG` keys on, blocks of queries are computed one after another and again in the backward pass (Rabe and
    Staats 2021), so that memory grows linearly with the length. The weights that dropout removes are drawn in another
    order than at once, and are the same in both passes.
    """
    is_causal = module.is_causal if is_causal is None else is_causal
    causal = attention_mask is None and is_causal and query.shape[2] > 1
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if key.shape[2] <= _LONG or query.shape[2] <= _BLOCK:
        mask = _up_to_query(0, query.shape[2], key.shape[2]) if causal else attention_mask
        return _attend_at_once(query, key, value, mask, scaling, dropout), None
    outputs = []
    for begin in range(0, query.shape[2], _BLOCK):
        block = query[:, :, begin : begin + _BLOCK]
        mask, seen = attention_mask, key.shape[2]
        if causal:
            seen = min(begin + block.shape[2], seen)  # no query of this block sees later keys
            mask = _up_to_query(begin, block.shape[2], seen)
        elif mask is not None and mask.shape[-2] > 1:
            mask = mask[..., begin : begin + _BLOCK, :]
        states = (block, key[:, :, :seen], value[:, :, :seen], mask, scaling, dropout)
        if torch.is_grad_enabled() and any(each.requires_grad for each in states[:3]):
            outputs.append(checkpoint(_attend_at_once, *states, use_reentrant=False, preserve_rng_state=dropout > 0))
        else:
            outputs.append(_attend_at_once(*states))
    return torch.cat(outputs, dim=1), None


def _up_to_query(begin: int, queries: int, keys: int) -> torch.Tensor:
    """(queries, keys), True where a key is not after the query; `begin` is the position of the first query."""
    return torch.ones(queries, keys, dtype=torch.bool).tril(begin)


def _attend_at_once(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float,
) -> torch.Tensor:
    """All scores of these queries and keys: (batch, heads, queries, head_dim) to (batch, queries, heads, head_dim)."""
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        forbidden = torch.zeros(attention_mask.shape, dtype=query.dtype)
        attention_mask = forbidden.masked_fill_(~attention_mask, torch.finfo(query.dtype).min)
    missing = _VECTOR - key.shape[2]
    if missing > 0:
        # Pad with masked keys to a full vector.
        visible = query.new_zeros(1, 1, 1, key.shape[2]) if attention_mask is None else attention_mask
        attention_mask = nn.functional.pad(visible, (0, missing), value=-math.inf)
        key, value = (nn.functional.pad(states, (0, 0, 0, missing)) for states in (key, value))
    # Scale the queries, which are smaller than the scores. Make the keys contiguous, because the copy that matmul makes
    # itself is three times as slow.
    scores = torch.matmul(query * scaling, key.contiguous().transpose(2, 3))
    if attention_mask is not None:
        scores += attention_mask
    weights = drop(nn.functional.softmax(scores, dim=-1), dropout, True)
    return torch.matmul(weights, value).transpose(1, 2).contiguous()


def flash_attention_forward(
    flash: Callable,
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | SequenceLengths | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The flash attention of transformers, also for packed rows; and `sdpa` for cross-attention with a mask.

    transformers finds the sequences of packed rows by their positions, in every layer again and only in a batch of one
    row. Here their lengths are known. It also removes padded queries by the mask of the keys, and in cross-attention
    that is the mask of another sequence (transformers issue 35032).

    Args:
        flash: the kernel of transformers.
        attention_mask: (batch, source), 1 for tokens and 0 for padding; or the sequences of packed rows.
    """
    if isinstance(attention_mask, SequenceLengths):

        def attend(*states: torch.Tensor, **lengths: Any) -> torch.Tensor:
            return flash(module, *states, None, **(kwargs | lengths))[0]

        return attention_mask.attend(query, key, value, attend), None
    if attention_mask is None or not module.is_cross_attention:
        return flash(module, query, key, value, attention_mask, **kwargs)
    if attention_mask.dim() == 2:  # a 4-D mask of the caller is taken as it is
        attention_mask = attention_mask[:, None, None, :].bool()
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


ALL_ATTENTION_FUNCTIONS = VanillaAttentionInterface()


__all__ = ["ALL_ATTENTION_FUNCTIONS", "plain_sdpa_forward", "sdpa_attention_forward"]
