"""Scaled dot-product attention and its three uses in the Transformer (Vaswani et al. 2017, section 3.2).

In the encoder, each position attends to all positions of the same sequence. In the decoder, it attends to the positions
up to its own, and then to all positions of the encoder.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache, EncoderDecoderCache

from .configuration_vanilla import VanillaConfig
from .kernels_attention_vanilla import ALL_ATTENTION_FUNCTIONS
from .kernels_dropout_vanilla import Dropout
from .kernels_linear_vanilla import linear


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Equation 1: softmax(QKᵀ / √d_k) V.

    Args:
        query: (batch, heads, target, head_dim).
        key: (batch, heads, source, head_dim).
        value: (batch, heads, source, head_dim).
        attention_mask: added to the scores; (batch, 1, target, source), 0 where attention is allowed, else the least
            number of the type.
        scaling: 1 / √d_k, where d_k is head_dim.
        dropout: probability with which a weight is dropped, 0 outside of training.

    Returns:
        The output (batch, target, heads, head_dim) and the weights (batch, heads, target, source).
    """
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores, dim=-1)
    weights = nn.functional.dropout(weights, p=dropout)
    output = torch.matmul(weights, value)
    return output.transpose(1, 2).contiguous(), weights


class MultiHeadAttention(nn.Module):
    """Section 3.2.2: project to queries, keys and values, attend in every head, project back.

    `config._attn_implementation` selects the kernel: `eager`, `sdpa`, `flash_attention_2`, `flex_attention`, or one
    that a serving engine registers.
    """

    is_cross_attention = False

    def __init__(self, config: VanillaConfig, layer_idx: int, is_causal: bool) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.is_causal = is_causal
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        # The kernels take the probability as a number. The module is where tools find it and change it.
        self.attention_dropout = Dropout(config.attention_dropout)
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def split_heads(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to (batch, heads, length, head_dim)."""
        # Not the number of heads, because under tensor parallelism each device holds only some of them; not -1, which
        # torch cannot infer for a batch without rows.
        heads = states.shape[-1] // self.head_dim
        return states.view(*states.shape[:-1], heads, self.head_dim).transpose(1, 2)

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend and project back: output (batch, target, hidden), and the weights if the kernel returns them."""
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        dropout = self.attention_dropout.p if self.attention_dropout.training else 0.0
        output, weights = attention(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return linear(self.o_proj, output.flatten(2)), weights


class SelfAttention(MultiHeadAttention):
    """Queries, keys and values come from the same sequence. In a decoder, a query sees positions up to its own."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """hidden_states (batch, length, hidden) to the same shape, and the attention weights or None."""
        query = self.split_heads(linear(self.q_proj, hidden_states))
        key = self.split_heads(linear(self.k_proj, hidden_states))
        value = self.split_heads(linear(self.v_proj, hidden_states))
        if past_key_values is not None:
            if isinstance(past_key_values, EncoderDecoderCache):
                past_key_values = past_key_values.self_attention_cache
            key, value = past_key_values.update(key, value, self.layer_idx)
        return self.attend(query, key, value, attention_mask, **kwargs)


class CrossAttention(MultiHeadAttention):
    """Queries come from the decoder, keys and values from the output of the encoder."""

    is_cross_attention = True

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
        query = self.split_heads(linear(self.q_proj, hidden_states))
        cache = past_key_values if isinstance(past_key_values, EncoderDecoderCache) else None
        if cache is not None and cache.is_updated.get(self.layer_idx):
            layer = cache.cross_attention_cache.layers[self.layer_idx]
            key, value = layer.keys, layer.values
        else:
            key = self.split_heads(linear(self.k_proj, encoder_hidden_states))
            value = self.split_heads(linear(self.v_proj, encoder_hidden_states))
            if cache is not None:
                key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
                cache.is_updated[self.layer_idx] = True
        return self.attend(query, key, value, attention_mask, **kwargs)
