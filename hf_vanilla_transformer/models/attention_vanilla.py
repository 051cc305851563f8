"""Scaled dot-product attention and its three uses in the Transformer (Vaswani et al. 2017, section 3.2).

The encoder attends to itself in both directions, the decoder to itself backwards only, and the decoder to the encoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_vanilla import VanillaConfig
from .dropout_vanilla import dropout as drop
from .linear_vanilla import Linear
from .masks_vanilla import is_flash
from .packing_vanilla import PackedSequences


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Equation 1: softmax(QKᵀ / √d_k) V, written out, so that the weights can be looked at.

    Args:
        query: (batch, heads, target, head_dim).
        key: (batch, heads, source, head_dim).
        value: (batch, heads, source, head_dim).
        attention_mask: added to the scores; (batch, 1, target, source), 0 or minus infinity.

    Returns:
        The output (batch, target, heads, head_dim) and the weights (batch, heads, target, source).
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # There are fewer queries than scores to scale. A product with Kᵀ as heads are split would first copy it column by
    # column, three times as slowly as whole rows are copied here.
    scores = torch.matmul(query * scaling, key.contiguous().transpose(2, 3))
    if attention_mask is not None:
        scores += attention_mask
    weights = drop(nn.functional.softmax(scores, dim=-1), dropout, module.training)
    output = torch.matmul(weights, value)
    return output.transpose(1, 2).contiguous(), weights


# The floats in a vector of AVX-512. Torch's softmax takes rows that do not fill one number by number.
_VECTOR = 16

# Up to this length torch's fused kernel for CPU is slower than two matrix products and a softmax.
_SHORT = 32


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
    """What `sdpa` computes, written out: for training on CPU with short sequences or with dropout.

    Torch's fused kernel has no dropout there, and its fallback is slow. Shapes as in `eager_attention_forward`.
    The mask is `sdpa`'s: True where attention is allowed, or None for everywhere (in a causal module, backwards).
    """
    is_causal = module.is_causal if is_causal is None else is_causal
    if attention_mask is None and is_causal and query.shape[2] > 1:
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        forbidden = torch.zeros(attention_mask.shape, dtype=query.dtype)
        attention_mask = forbidden.masked_fill_(~attention_mask, torch.finfo(query.dtype).min)
    missing = _VECTOR - key.shape[2]
    if missing > 0:
        # Keys that nobody sees fill the vector.
        seen = query.new_zeros(1, 1, 1, key.shape[2]) if attention_mask is None else attention_mask
        attention_mask = nn.functional.pad(seen, (0, missing), value=-math.inf)
        key, value = (nn.functional.pad(states, (0, 0, 0, missing)) for states in (key, value))
    return eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout)[0], None


class MultiHeadAttention(nn.Module):
    """Section 3.2.2: project to queries, keys and values, attend in every head, project back.

    The kernel is transformers' choice for the model (`eager`, `sdpa`, `flash_attention_2`, `flex_attention`, or one
    that a serving engine registers).
    """

    def __init__(self, config: VanillaConfig, layer_idx: int, is_causal: bool) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.is_causal = is_causal
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_dropout
        self.q_proj = Linear(config.hidden_size, config.hidden_size)
        self.k_proj = Linear(config.hidden_size, config.hidden_size)
        self.v_proj = Linear(config.hidden_size, config.hidden_size)
        self.o_proj = Linear(config.hidden_size, config.hidden_size)

    def split_heads(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to (batch, heads, length, head_dim)."""
        # -1 and not the number of heads: under tensor parallelism each device holds only some of them.
        return states.view(*states.shape[:-1], -1, self.head_dim).transpose(1, 2)

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | PackedSequences | None,
        attention_function: Callable | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend and project back: output (batch, target, hidden), and the weights where the kernel has them."""

        def kernel(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> Any:
            dropout = self.attention_dropout if self.training else 0.0
            function = attention_function or self._attention_function(key)
            return function(self, query, key, value, mask, dropout=dropout, scaling=self.scaling, **kwargs)

        if isinstance(attention_mask, PackedSequences):
            output, weights = attention_mask.attend(query, key, value, lambda *group: kernel(*group)[0]), None
        else:
            output, weights = kernel(query, key, value, attention_mask)
        return self.o_proj(output.reshape(*output.shape[:2], -1)), weights

    def _attention_function(self, key: torch.Tensor) -> Callable:
        if self._better_plain(key):
            return plain_sdpa_forward
        return ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)

    def _better_plain(self, key: torch.Tensor) -> bool:
        """Whether `plain_sdpa_forward` should stand in for `sdpa`: the same function, sooner done."""
        return (
            self.training
            and (self.attention_dropout > 0 or key.shape[2] <= _SHORT)
            and key.device.type == "cpu"
            and self.config._attn_implementation == "sdpa"
            and not torch.compiler.is_compiling()
        )


class SelfAttention(MultiHeadAttention):
    """Queries, keys and values all come from the same sequence; in a decoder, from positions up to the query's."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """hidden_states (batch, length, hidden) to the same shape, and the attention weights or None."""
        query = self.split_heads(self.q_proj(hidden_states))
        key = self.split_heads(self.k_proj(hidden_states))
        value = self.split_heads(self.v_proj(hidden_states))
        if past_key_values is not None:
            if isinstance(past_key_values, EncoderDecoderCache):
                past_key_values = past_key_values.self_attention_cache
            key, value = past_key_values.update(key, value, self.layer_idx)
        return self.attend(query, key, value, attention_mask, **kwargs)


class CrossAttention(MultiHeadAttention):
    """Queries come from the decoder, keys and values from the output of the encoder."""

    def __init__(self, config: VanillaConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx, is_causal=False)

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """hidden_states (batch, target, hidden), encoder_hidden_states (batch, source, hidden) to the first's shape."""
        query = self.split_heads(self.q_proj(hidden_states))
        cache = past_key_values if isinstance(past_key_values, EncoderDecoderCache) else None
        if cache is not None and cache.is_updated.get(self.layer_idx):
            layer = cache.cross_attention_cache.layers[self.layer_idx]
            key, value = layer.keys, layer.values
        else:
            key = self.split_heads(self.k_proj(encoder_hidden_states))
            value = self.split_heads(self.v_proj(encoder_hidden_states))
            if cache is not None:
                key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
                cache.is_updated[self.layer_idx] = True

        attention_function = None
        if attention_mask is not None and is_flash(self.config):
            # Flash attention drops padding from the queries by the mask of the keys; in cross-attention that is the
            # mask of another sequence (transformers issue 35032). Torch's kernel takes the mask as it is.
            attention_function = ALL_ATTENTION_FUNCTIONS["sdpa"]
            if attention_mask.dim() == 2:
                attention_mask = attention_mask[:, None, None, :].bool()
        return self.attend(query, key, value, attention_mask, attention_function, **kwargs)
