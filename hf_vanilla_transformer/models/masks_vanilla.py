"""Which position sees which: padding, order, and the sequences of packed rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from .configuration_vanilla import VanillaConfig
from .kernels_packing_vanilla import (
    PackedSequences,
    SequenceLengths,
    holds_several,
    packed_cross_attention,
    packed_self_attention,
    takes_packed_rows,
)
from .packing_vanilla import check_sequences


def self_attention_mask(
    config: VanillaConfig,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    past_key_values: Cache | None,
    seq_idx: torch.Tensor | None,
    is_causal: bool,
) -> torch.Tensor | PackedSequences | SequenceLengths | None:
    """The mask of self-attention, in the form that the configured kernel takes.

    Args:
        hidden_states: (batch, length, hidden), for its sizes.
        attention_mask: (batch, past + length), 1 for tokens and 0 for padding; or a 4-D mask, which is used as it is.
        seq_idx: (batch, length), from `packed_sequences`.
        is_causal: whether a position sees only positions up to its own.

    Raises:
        ValueError: `seq_idx` has another shape than the tokens, or a negative number.
    """
    same_sequence: dict[str, Any] = {}
    if seq_idx is not None:
        seq_idx = check_sequences("seq_idx", seq_idx, hidden_states)
        if holds_several(seq_idx):
            if takes_packed_rows(config, hidden_states, attention_mask):
                return packed_self_attention(config, seq_idx, attention_mask, is_causal)
            same_sequence["and_mask_function"] = _same_sequence(seq_idx, seq_idx)
    create_mask = create_causal_mask if is_causal else create_bidirectional_mask
    return create_mask(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask,
        past_key_values=past_key_values,
        **same_sequence,
    )


def cross_attention_mask(
    config: VanillaConfig,
    hidden_states: torch.Tensor,
    encoder_hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    encoder_seq_idx: torch.Tensor | None,
) -> torch.Tensor | PackedSequences | SequenceLengths | None:
    """The mask of cross-attention: padding of the source, and in packed rows only the source of the same sequence.

    Args:
        hidden_states: (batch, target, hidden), for its sizes.
        encoder_hidden_states: (batch, source, hidden), for its sizes.
        attention_mask: (batch, source), 1 for tokens and 0 for padding; or a 4-D mask, which is used as it is.
        seq_idx: (batch, target), from `packed_sequences`.
        encoder_seq_idx: (batch, source), likewise. Rows are packed only where both are given.

    Raises:
        ValueError: `seq_idx` or `encoder_seq_idx` has another shape than the tokens, or a negative number.
    """
    same_sequence: dict[str, Any] = {}
    if seq_idx is not None and encoder_seq_idx is not None:
        seq_idx = check_sequences("seq_idx", seq_idx, hidden_states)
        encoder_seq_idx = check_sequences("encoder_seq_idx", encoder_seq_idx, encoder_hidden_states)
        if holds_several(seq_idx) or holds_several(encoder_seq_idx):
            if takes_packed_rows(config, hidden_states, attention_mask):
                return packed_cross_attention(config, seq_idx, encoder_seq_idx, attention_mask)
            same_sequence["and_mask_function"] = _same_sequence(seq_idx, encoder_seq_idx)
    return create_bidirectional_mask(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask,
        encoder_hidden_states=encoder_hidden_states,
        **same_sequence,
    )


def check_mask(name: str, attention_mask: Any, rows: int, columns: int | torch.Tensor) -> None:
    """Check the shape of a mask: (rows, columns), or 4-D for a mask that is used as it is.

    Args:
        name: the argument, for the message.
        attention_mask: a tensor, None, or the block mask of flex attention, which is not checked.
        rows: number of sequences.
        columns: number of keys, those of the cache included; a tensor where only the device knows it.

    Raises:
        ValueError: the mask has another shape. torch would ignore a wrong one that masks nothing.
    """
    if not isinstance(attention_mask, torch.Tensor) or attention_mask.dim() == 4 or isinstance(columns, torch.Tensor):
        return
    if attention_mask.shape != (rows, columns):
        raise ValueError(
            f"{name} has the shape {tuple(attention_mask.shape)}, but should have {(rows, columns)}: one number per "
            "row and token, tokens of the cache included; or (rows, 1, queries, keys)."
        )


def _same_sequence(query_seq_idx: torch.Tensor, key_seq_idx: torch.Tensor) -> Callable:
    def same_sequence(batch_idx, head_idx, q_idx, kv_idx):
        return query_seq_idx[batch_idx, q_idx] == key_seq_idx[batch_idx, kv_idx]

    return same_sequence


__all__ = ["check_mask", "cross_attention_mask", "self_attention_mask"]
