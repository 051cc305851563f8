"""Packed rows: several sequences in one row, and `seq_idx`, which says which sequence each token belongs to."""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache
from transformers.masking_utils import find_packed_sequence_indices

from .plain_values_vanilla import has_plain_cpu_values


def packed_sequences(
    seq_idx: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    past_key_values: Cache | None,
) -> torch.Tensor | None:
    """The sequence of each token in packed rows, or None where every row is one sequence.

    `seq_idx` gives it. Without `seq_idx`, a position that does not follow the one before begins a new sequence, as in
    transformers. This holds only where there is neither a mask nor a cache: padding and branches have such positions
    too.

    Args:
        seq_idx: (batch, length).
        position_ids: (batch or 1, length).
        attention_mask: of any shape.
        past_key_values: the cache that the caller passed.

    Returns:
        (batch or 1, length). Tokens of the same row with equal numbers attend to each other.

    Raises:
        ValueError: `seq_idx` is given together with a cache.
    """
    if seq_idx is not None:
        if past_key_values is not None:
            raise ValueError(
                "seq_idx is given together with past_key_values, but it does not number the cached tokens; pass all "
                "tokens at once without a cache, or leave seq_idx out."
            )
        return seq_idx
    if position_ids is None or attention_mask is not None or past_key_values is not None:
        return None
    return find_packed_sequence_indices(position_ids)


def check_sequences(name: str, seq_idx: torch.Tensor, hidden_states: torch.Tensor) -> torch.Tensor:
    """`seq_idx` as (batch, length), if it fits the hidden states (batch, length, hidden).

    Raises:
        ValueError: the shape is another one, or a number is negative (checked on CPU, where it costs nothing).
    """
    shape = hidden_states.shape[:2]
    if seq_idx.dim() != 2 or seq_idx.shape[0] not in (1, shape[0]) or seq_idx.shape[1] != shape[1]:
        raise ValueError(f"{name} has the shape {tuple(seq_idx.shape)}, but there are {tuple(shape)} tokens.")
    if seq_idx.numel() and has_plain_cpu_values(seq_idx):
        least = int(seq_idx.min())
        if least < 0:
            raise ValueError(f"{name} has the number {least}; number sequences from 0, padding as its neighbour.")
    return seq_idx.expand(shape)


def sequence_starts(seq_idx: torch.Tensor) -> torch.Tensor:
    """Whether a token is the first of its sequence; (batch, length) to the same shape. The first column always is."""
    return torch.diff(seq_idx, prepend=seq_idx[:, :1] - 1, dim=-1) != 0


def positions_in_sequences(seq_idx: torch.Tensor, counted: torch.Tensor | None = None) -> torch.Tensor:
    """The position of each token in its sequence, from 0; (batch, length) to the same shape.

    Args:
        counted: (batch, length), 1 for tokens that take a position and 0 for padding; None for all.
    """
    counted = torch.ones_like(seq_idx) if counted is None else counted.to(seq_idx)
    before = counted.cumsum(-1) - counted
    return before - torch.where(sequence_starts(seq_idx), before, 0).cummax(-1).values


__all__ = ["check_sequences", "packed_sequences", "positions_in_sequences", "sequence_starts"]
