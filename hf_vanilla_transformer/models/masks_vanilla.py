"""Which position sees which: padding, order, and the sequences of packed rows, in the form that each kernel takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from .configuration_vanilla import VanillaConfig
from .kernels_attention_vanilla import is_flash
from .kernels_packing_vanilla import PackedSequences


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
) -> torch.Tensor | PackedSequences | None:
    """The mask of an attention of a sequence to itself, in the form that the configured kernel takes.

    Args:
        hidden_states: (batch, length, hidden), for its sizes.
        attention_mask: (batch, past + length), 1 for tokens and 0 for padding; or a ready 4-D mask.
        packed: sequence numbers (batch, length) of packed rows.
        is_causal: whether positions see only themselves and what came before.
    """
    if packed is not None and is_flash(config):
        # Flash attention reads packing from the position_ids that `flash_packing` passes, padding being a sequence.
        return None
    if packed is not None and _one_by_one(config, hidden_states, attention_mask):
        numbers = _without_padding(packed, attention_mask)
        return PackedSequences(numbers, numbers, is_causal)
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
) -> torch.Tensor | PackedSequences | None:
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
        if is_flash(config):
            mask = packed[:, None, :, None] == encoder_packed[:, None, None, :]
            return mask if attention_mask is None else mask & attention_mask[:, None, None, :].bool()
        if _one_by_one(config, hidden_states, attention_mask):
            return PackedSequences(packed, _without_padding(encoder_packed, attention_mask), is_causal=False)
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
    if packed is None or not is_flash(config):
        return {}
    packed = _without_padding(packed, attention_mask)
    starts = torch.diff(packed, prepend=packed[:, :1] - 1, dim=-1) != 0
    columns = torch.arange(packed.shape[1], device=packed.device).expand_as(packed)
    return {"position_ids": columns - torch.where(starts, columns, 0).cummax(-1).values}


def _same_sequence(query_numbers: torch.Tensor, key_numbers: torch.Tensor) -> Callable:
    def same_sequence(batch_idx, head_idx, q_idx, kv_idx):
        return query_numbers[batch_idx, q_idx] == key_numbers[batch_idx, kv_idx]

    return same_sequence


def _without_padding(packed: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """The sequence numbers, -1 where there is padding."""
    return packed if attention_mask is None else torch.where(attention_mask.bool(), packed, -1)


def _one_by_one(config: VanillaConfig, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None) -> bool:
    """Whether attention goes through packed rows sequence by sequence: on CPU, in `sdpa`'s place."""
    return (
        hidden_states.device.type == "cpu"
        and config._attn_implementation == "sdpa"
        and (attention_mask is None or attention_mask.dim() == 2)
        and not torch.compiler.is_compiling()
    )
