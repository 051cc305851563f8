"""Scaled dot-product attention and its three uses in the Transformer (Vaswani et al. 2017, section 3.2).

The encoder attends to itself in both directions, the decoder to itself backwards only, and the decoder to the encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_vanilla import VanillaConfig
from .dropout_vanilla import dropout as drop


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
    weights = drop(_softmax(scores), dropout, module.training)
    output = torch.matmul(weights, value)
    return output.transpose(1, 2).contiguous(), weights


# The floats in a vector of AVX-512.
_VECTOR = 16


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis, in training on CPU with a detour for short sequences."""
    on_cpu = scores.device.type == "cpu" and not torch.compiler.is_compiling()
    if on_cpu and scores.requires_grad and scores.shape[-1] < _VECTOR:
        # Torch takes rows shorter than a vector of the processor number by number, columns as fast as ever.
        return nn.functional.softmax(scores.transpose(2, 3).contiguous(), dim=-2).transpose(2, 3)
    return nn.functional.softmax(scores, dim=-1)


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
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def split_heads(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to (batch, heads, length, head_dim)."""
        # -1 and not the number of heads: under tensor parallelism each device holds only some of them.
        return states.view(*states.shape[:-1], -1, self.head_dim).transpose(1, 2)

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        attention_function: Callable | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend and project back: output (batch, target, hidden), and the weights where the kernel has them."""
        if attention_function is None and self._better_plain(key):
            attention_function = plain_sdpa_forward
        elif attention_function is None:
            attention_function = ALL_ATTENTION_FUNCTIONS.get_interface(
                self.config._attn_implementation, eager_attention_forward
            )
        output, weights = attention_function(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.o_proj(output.reshape(*output.shape[:2], -1)), weights

    def _better_plain(self, key: torch.Tensor) -> bool:
        """Whether `plain_sdpa_forward` should stand in for `sdpa`: the same function, sooner done."""
        return (
            self.training
            and self.config._attn_implementation == "sdpa"
            and key.device.type == "cpu"
            and (self.attention_dropout > 0 or key.shape[2] <= _SHORT)
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
        if attention_mask is not None and _is_flash(self.config):
            # Flash attention drops padding from the queries by the mask of the keys; in cross-attention that is the
            # mask of another sequence (transformers issue 35032). Torch's kernel takes the mask as it is.
            attention_function = ALL_ATTENTION_FUNCTIONS["sdpa"]
            if attention_mask.dim() == 2:
                attention_mask = attention_mask[:, None, None, :].bool()
        return self.attend(query, key, value, attention_mask, attention_function, **kwargs)


def sequence_numbers(position_ids: torch.Tensor) -> torch.Tensor:
    """Number the sequences packed into each row: a new one begins where positions do not go up by one.

    Args:
        position_ids: (batch, length).

    Returns:
        (batch, length), counting from 0 in each row.
    """
    starts = torch.diff(position_ids, prepend=position_ids[:, :1] - 1, dim=-1) != 1
    return starts.cumsum(-1)


def packed_sequences(
    position_ids: torch.Tensor | None, past_key_values: Cache | None, batch_size: int
) -> torch.Tensor | None:
    """The sequence numbers of packed rows, or None where every row is one sequence.

    Only positions that the caller gave, with no cache, can describe packing.
    """
    if position_ids is None or past_key_values is not None:
        return None
    numbers = sequence_numbers(position_ids.expand(batch_size, -1))
    # What a tracer sees must not depend on values; there the mask is always built.
    if not torch.compiler.is_compiling() and not bool(numbers[:, -1].any()):
        return None
    return numbers


def self_attention_mask(
    config: VanillaConfig,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    past_key_values: Cache | None,
    packed: torch.Tensor | None,
    is_causal: bool,
) -> torch.Tensor | None:
    """The mask of an attention of a sequence to itself, in the form that the configured kernel takes.

    Args:
        hidden_states: (batch, length, hidden), for its sizes.
        attention_mask: (batch, past + length), 1 for tokens and 0 for padding; or a ready 4-D mask.
        packed: sequence numbers (batch, length) of packed rows.
        is_causal: whether positions see only themselves and what came before.
    """
    if packed is not None and _is_flash(config):
        # Flash attention reads packing from the position_ids that `flash_packing` passes, padding being a sequence.
        return None
    arguments: dict[str, Any] = {"and_mask_function": _same_sequence(packed, packed)} if packed is not None else {}
    create_mask = create_causal_mask if is_causal else create_bidirectional_mask
    return create_mask(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask,
        past_key_values=past_key_values,
        **arguments,
    )


def cross_attention_mask(
    config: VanillaConfig,
    hidden_states: torch.Tensor,
    encoder_hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    packed: torch.Tensor | None,
    encoder_packed: torch.Tensor | None,
) -> torch.Tensor | None:
    """The mask of the decoder's attention to the encoder: padding, and in packed rows the sequence's own source.

    Args:
        hidden_states: (batch, target, hidden), for its sizes.
        encoder_hidden_states: (batch, source, hidden), for its sizes.
        attention_mask: (batch, source), 1 for tokens and 0 for padding; or a ready 4-D mask.
        packed: sequence numbers (batch, target) of packed target rows.
        encoder_packed: sequence numbers (batch, source) of packed source rows.
    """
    arguments: dict[str, Any] = {}
    if packed is not None or encoder_packed is not None:
        if packed is None:
            packed = hidden_states.new_zeros(hidden_states.shape[:2], dtype=torch.long)
        if encoder_packed is None:
            encoder_packed = hidden_states.new_zeros(encoder_hidden_states.shape[:2], dtype=torch.long)
        if _is_flash(config):
            mask = packed[:, None, :, None] == encoder_packed[:, None, None, :]
            return mask if attention_mask is None else mask & attention_mask[:, None, None, :].bool()
        arguments["and_mask_function"] = _same_sequence(packed, encoder_packed)
    return create_bidirectional_mask(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask,
        encoder_hidden_states=encoder_hidden_states,
        **arguments,
    )


def flash_packing(
    config: VanillaConfig, packed: torch.Tensor | None, attention_mask: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """The keyword by which flash attention learns of packed rows: position_ids that restart at each sequence.

    Padding becomes sequences of its own, since a packed row has no mask there.
    """
    if packed is None or not _is_flash(config):
        return {}
    if attention_mask is not None:
        packed = torch.where(attention_mask.bool(), packed, -1)
    starts = torch.diff(packed, prepend=packed[:, :1] - 1, dim=-1) != 0
    columns = torch.arange(packed.shape[1], device=packed.device).expand_as(packed)
    return {"position_ids": columns - torch.where(starts, columns, 0).cummax(-1).values}


def _same_sequence(query_numbers: torch.Tensor, key_numbers: torch.Tensor) -> Callable:
    def same_sequence(batch_idx, head_idx, q_idx, kv_idx):
        return query_numbers[batch_idx, q_idx] == key_numbers[batch_idx, kv_idx]

    return same_sequence


def _is_flash(config: VanillaConfig) -> bool:
    return "flash" in (config._attn_implementation or "")
