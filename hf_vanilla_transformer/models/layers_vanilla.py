"""The parts of a Transformer besides attention: feed-forward network, layer with residual connections, positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_vanilla import CrossAttention, SelfAttention
from .configuration_vanilla import VanillaConfig
from .kernels_activation_vanilla import activation
from .kernels_dropout_vanilla import Dropout
from .kernels_linear_vanilla import linear


class FeedForward(nn.Module):
    """Section 3.3: two linear maps with an activation between them, applied to each position separately."""

    def __init__(self, config: VanillaConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)
        self.dropout = Dropout(config.activation_dropout)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to the same shape."""
        return linear(self.fc2, self.dropout(self.activation(linear(self.fc1, hidden_states))))


class TransformerLayer(GradientCheckpointingLayer):
    """Figure 1, one layer: self-attention, cross-attention in a decoder that reads an encoder, feed-forward network.

    norm_first=False (the paper, BERT, BART)      norm_first=True (GPT-2, M2M100)
        x ── sublayer ── + ── norm                    x ── norm ── sublayer ── +
        └────────────────┘                            └────────────────────────┘
    """

    def __init__(self, config: VanillaConfig, layer_idx: int, is_causal: bool, add_cross_attention: bool) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.self_attn = SelfAttention(config, layer_idx, is_causal)
        self.self_attn_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        if add_cross_attention:
            self.cross_attn = CrossAttention(config, layer_idx)
            self.cross_attn_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = FeedForward(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def residual(self, hidden_states: torch.Tensor, norm: nn.LayerNorm, sublayer: Any) -> torch.Tensor:
        """The residual connection around a sublayer. Only this method distinguishes post-norm from pre-norm."""
        if self.norm_first:
            return hidden_states + self.dropout(sublayer(norm(hidden_states)))
        return norm(hidden_states + self.dropout(sublayer(hidden_states)))

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """hidden_states (batch, length, hidden) and encoder_hidden_states (batch, source, hidden) to the first's shape.

        Tensors that need a gradient are positional, because gradient checkpointing ignores keyword arguments.
        """

        def attend_to_itself(states: torch.Tensor) -> torch.Tensor:
            return self.self_attn(states, attention_mask, past_key_values, **kwargs)[0]

        def attend_to_the_encoder(states: torch.Tensor) -> torch.Tensor:
            return self.cross_attn(states, encoder_hidden_states, encoder_attention_mask, past_key_values, **kwargs)[0]

        hidden_states = self.residual(hidden_states, self.self_attn_norm, attend_to_itself)
        if encoder_hidden_states is not None:
            hidden_states = self.residual(hidden_states, self.cross_attn_norm, attend_to_the_encoder)
        return self.residual(hidden_states, self.mlp_norm, self.mlp)


class SinusoidalPositions(nn.Module):
    """Section 3.5: sines and cosines of geometrically spaced frequencies, without parameters, for any length.

    The table is a buffer that is not saved. transformers builds models on the meta device and fills them later, so
    `_init_weights` of the model calls `build_table` again.
    """

    def __init__(self, config: VanillaConfig) -> None:
        super().__init__()
        self.layout = config.position_embedding_type
        self.offset = config.position_offset
        self.width = config.embedding_width
        self.register_buffer("table", self.build_table(config.max_position_embeddings), persistent=False)

    def build_table(self, positions: int) -> torch.Tensor:
        """The table (positions, width) in the default type, computed in float64 (`sinusoidal_t2t`: float32)."""
        half = self.width // 2
        # The paper's frequencies are 10000^(-2i/d) for i = 0 … d/2 - 1. In tensor2tensor the last is exactly 1/10000.
        spacing = half - 1 if self.layout == "sinusoidal_t2t" else half
        # Models with the layout of tensor2tensor were trained with angles in float32; at position 1000 that changes
        # sines by 7e-5.
        dtype = torch.float32 if self.layout == "sinusoidal_t2t" else torch.float64
        frequencies = torch.exp(torch.arange(half, dtype=dtype, device="cpu") * -(math.log(10000.0) / spacing))
        steps = torch.arange(self.offset, self.offset + positions, dtype=dtype, device="cpu")
        angles = steps[:, None] * frequencies
        if self.layout == "sinusoidal":
            table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        else:
            table = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return table.to(torch.get_default_dtype())

    def grow(self, positions: int) -> None:
        """Extend the table to at least that many positions."""
        if positions > self.table.shape[0]:
            self.table = self.build_table(max(positions, 2 * self.table.shape[0])).to(self.table)

    def forward(self, position_ids: torch.Tensor) -> torch.Tensor:
        """position_ids (batch or 1, length) to (batch or 1, length, width); the table must have these positions."""
        return nn.functional.embedding(position_ids, self.table)

    def _apply(self, fn: Callable, recurse: bool = True) -> SinusoidalPositions:
        """Move or convert the table. `to_empty` leaves it without values, and no checkpoint has them."""
        super()._apply(fn, recurse)
        if type(self.table) is torch.Tensor and not self.table.is_meta:
            self.table.copy_(self.build_table(self.table.shape[0]))
        return self


def position_embeddings(config: VanillaConfig) -> SinusoidalPositions | nn.Embedding:
    """The positions that `position_embedding_type` selects: section 3.5, or one trained vector per position.

    Trained positions (Gehring et al. 2017; BERT, GPT) are a plain `nn.Embedding`, which tools look for.
    """
    if config.position_embedding_type == "learned":
        return nn.Embedding(config.max_position_embeddings, config.embedding_width)
    return SinusoidalPositions(config)
