"""Attention in packed rows without a mask over the entire row: the same numbers as with that mask, sooner.

A row that holds many sequences needs a mask that separates them, and most of the scores are masked. On CPU, the
attention gathers the sequences of all rows into groups of similar length, so that hardly any score is computed in vain.
Flash attention takes the sequences one after the other, with their lengths. Every other part of a layer sees the packed
rows.

A first reading can skip this file: `masks_vanilla.py` builds the plain mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .configuration_vanilla import VanillaConfig
from .plain_values_vanilla import has_plain_cpu_values

# Sequences up to this length are padded to each other's length. Their attention is cheap; another group costs more.
_SHORT = 32


def holds_several(seq_idx: torch.Tensor) -> bool:
    """Whether a row holds more than one sequence; (batch, length).

    Only CPU looks at the numbers. Other devices would have to wait, and compilers and transforms have no numbers.
    """
    if not has_plain_cpu_values(seq_idx):
        return True
    return bool((seq_idx != seq_idx[:, :1]).any())


def takes_packed_rows(config: VanillaConfig, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None) -> bool:
    """Whether the configured kernel takes packed rows without a mask: flash attention, and `sdpa` on CPU."""
    if attention_mask is not None and attention_mask.dim() != 2:
        return False
    if _is_flash(config):
        return True
    return config._attn_implementation == "sdpa" and has_plain_cpu_values(hidden_states)


def packed_self_attention(
    config: VanillaConfig, seq_idx: torch.Tensor, attention_mask: torch.Tensor | None, is_causal: bool
) -> PackedSequences | SequenceLengths:
    """What such a kernel takes as the mask of self-attention.

    Args:
        seq_idx: (batch, length), the sequence of each token.
        attention_mask: (batch, length), 1 for tokens and 0 for padding.
        is_causal: whether a position sees only positions up to its own.
    """
    numbers = _without_padding(seq_idx, attention_mask)
    return SequenceLengths(numbers, numbers) if _is_flash(config) else PackedSequences(numbers, numbers, is_causal)


def packed_cross_attention(
    config: VanillaConfig, seq_idx: torch.Tensor, encoder_seq_idx: torch.Tensor, attention_mask: torch.Tensor | None
) -> PackedSequences | SequenceLengths:
    """What such a kernel takes as the mask of cross-attention.

    Args:
        seq_idx: (batch, target), the sequence of each token.
        encoder_seq_idx: (batch, source), likewise.
        attention_mask: (batch, source), 1 for tokens and 0 for padding.
    """
    key_numbers = _without_padding(encoder_seq_idx, attention_mask)
    if _is_flash(config):
        return SequenceLengths(seq_idx, key_numbers)
    return PackedSequences(seq_idx, key_numbers, is_causal=False)


def _is_flash(config: VanillaConfig) -> bool:
    return "flash" in (config._attn_implementation or "")


def _without_padding(seq_idx: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """The sequence numbers (batch, length), -1 for padding."""
    return seq_idx if attention_mask is None else torch.where(attention_mask.bool(), seq_idx, -1)


def _sequences(query_numbers: torch.Tensor, key_numbers: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The sequences of all rows, numbered through: that of each query and of each key, and their lengths on both sides.

    Args:
        query_numbers: (batch, target), the sequence of each position within its row; -1 for padding, which comes last.
        key_numbers: (batch, source), likewise.

    Returns:
        The sequence of each token, (batch · target,) and (batch · source,); and twice (sequences,) numbers of tokens.
    """
    largest = torch.maximum(query_numbers.max(), key_numbers.max()) + 1
    rows = torch.arange(len(query_numbers), device=largest.device)[:, None] * (largest + 1)
    sides = [(rows + torch.where(one < 0, largest, one)).flatten() for one in (query_numbers, key_numbers)]
    _, sequences = torch.unique(torch.cat(sides), return_inverse=True)
    count = int(sequences.max()) + 1
    sides = list(sequences.split([len(side) for side in sides]))
    return sides, [torch.bincount(side, minlength=count) for side in sides]


class SequenceLengths:
    """The sequences of packed rows as flash attention takes them: one after the other, and where each begins.

    It is passed in place of an attention mask. Padding becomes sequences of its own. It is built once for all layers,
    because its sizes have to come from the device. ("FlashAttention-2", Dao 2023; the interface for variable lengths.)

    Args:
        query_numbers: (batch, target), the sequence of each position; -1 for padding.
        key_numbers: (batch, source), likewise. A query sees the keys of the same row with the same number.
    """

    def __init__(self, query_numbers: torch.Tensor, key_numbers: torch.Tensor) -> None:
        sides, lengths = _sequences(query_numbers, key_numbers)
        self._orders = [None if bool((side[1:] >= side[:-1]).all()) else side.argsort(stable=True) for side in sides]
        starts = [nn.functional.pad(side.cumsum(0), (1, 0)).to(torch.int32) for side in lengths]
        self._keywords: dict[str, Any] = {
            "cu_seq_lens_q": starts[0],
            "cu_seq_lens_k": starts[1],
            "max_length_q": int(lengths[0].max()),
            "max_length_k": int(lengths[1].max()),
        }

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """The output of the attention within each sequence, (batch, target, heads, head_dim).

        Args:
            query: (batch, heads, target, head_dim).
            key: (batch, heads, source, head_dim).
            value: (batch, heads, source, head_dim).
            attention: the kernel, called with query, key and value, (1, heads, tokens, head_dim) each, and the keywords
                of transformers' `FlashAttentionKwargs`; to (1, tokens, heads, head_dim).
        """
        batch, heads, target, head_dim = query.shape
        query_order, key_order = self._orders
        in_sequence = [
            _one_row(states, order) for states, order in ((query, query_order), (key, key_order), (value, key_order))
        ]
        output = attention(*in_sequence, **self._keywords)[0]
        if query_order is not None:
            output = output[query_order.argsort()]
        return output.view(batch, target, heads, head_dim)


def _one_row(states: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """(batch, heads, length, head_dim) to (1, heads, batch · length, head_dim), in that order of the tokens."""
    tokens = states.transpose(1, 2).flatten(0, 1)
    return (tokens if order is None else tokens[order]).transpose(0, 1)[None]


class _Permute(torch.autograd.Function):
    """Gather rows by `order`; `inverse` undoes it.

    The longer of the two has padding slots. They copy any token and get no gradient.
    """

    @staticmethod
    def forward(context: Any, states: torch.Tensor, order: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(order, inverse)
        context.pads = len(order) >= len(inverse)
        return states.index_select(0, order)

    @staticmethod
    def backward(context: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        order, inverse = context.saved_tensors
        if context.pads:
            return grad.index_select(0, inverse), None, None
        return grad.new_zeros(len(inverse), grad.shape[1]).index_copy_(0, order, grad), None, None


@dataclass(frozen=True)
class _Layout:
    """The slots of the groups, and the tokens of the queries or of the keys in them.

    Attributes:
        tokens: (slots,), the token in each slot; any token in a padding slot.
        slots: (tokens,), the slot of each token.
        sizes: number of slots of each group.
        lengths: number of slots of one sequence, for each group.
        in_order: whether the slots are the tokens in their order, so that nothing has to move.
    """

    tokens: torch.Tensor
    slots: torch.Tensor
    sizes: list[int]
    lengths: list[int]
    in_order: bool

    def groups(self, states: torch.Tensor) -> list[torch.Tensor]:
        """(batch, heads, length, head_dim) to one (sequences, heads, length of the group, head_dim) per group."""
        heads, head_dim = states.shape[1], states.shape[3]
        flat = states.transpose(1, 2).reshape(-1, heads * head_dim)
        if not self.in_order:
            flat = _Permute.apply(flat, self.tokens, self.slots)
        parts = flat.split(self.sizes)
        return [part.view(-1, length, heads, head_dim).transpose(1, 2) for part, length in zip(parts, self.lengths)]

    def rows(self, groups: list[torch.Tensor], shape: torch.Size) -> torch.Tensor:
        """The groups, each (sequences, length, heads, head_dim), to `shape`: (batch, length, heads, head_dim)."""
        flat = torch.cat([group.flatten(2).flatten(0, 1) for group in groups])
        if not self.in_order:
            flat = _Permute.apply(flat, self.slots, self.tokens)
        return flat.view(shape)


class PackedSequences:
    """The sequences of packed rows in groups of similar length. It is passed in place of an attention mask.

    Args:
        query_numbers: (batch, target), the sequence of each position; -1 for padding.
        key_numbers: (batch, source), likewise. A query sees the keys of the same row with the same number.
        is_causal: whether a query sees only keys up to its own position.
    """

    def __init__(self, query_numbers: torch.Tensor, key_numbers: torch.Tensor, is_causal: bool) -> None:
        sides, lengths = _sequences(query_numbers, key_numbers)
        longer_side, order = torch.maximum(*lengths).sort(descending=True)
        sizes = group_sizes(longer_side.tolist())
        # A single group takes the sequences in their order; then sequences of one length need not move at all.
        members = order.split(sizes) if len(sizes) > 1 else (torch.arange(len(order)),)
        self._queries, self._keys = (_layout(*side, members) for side in zip(sides, lengths))
        self._masks: list[torch.Tensor | None] = []
        for group, longest in zip(members, self._keys.lengths):
            # Padding slots come last, where no query of a causal group looks. A sequence without keys sees one padding
            # slot, because a softmax over no keys is NaN.
            visible = torch.arange(longest) < lengths[1][group, None].clamp(min=1)
            self._masks.append(None if is_causal or bool(visible.all()) else visible[:, None, None, :])

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """The output of the attention within each sequence, (batch, target, heads, head_dim).

        Args:
            query: (batch, heads, target, head_dim).
            key: (batch, heads, source, head_dim).
            value: (batch, heads, source, head_dim).
            attention: the kernel, called for each group with query, key, value and a mask (sequences, 1, target,
                source), True where attention is allowed, or None.
        """
        batch, heads, target, head_dim = query.shape
        groups = (self._queries.groups(query), self._keys.groups(key), self._keys.groups(value), self._masks)
        outputs = []
        for queries, keys, values, mask in zip(*groups):
            visible = None if mask is None else mask.expand(-1, -1, queries.shape[2], -1)
            outputs.append(attention(queries, keys, values, visible))
        return self._queries.rows(outputs, torch.Size((batch, target, heads, head_dim)))


def group_sizes(lengths: list[int], least: float = 0.5) -> list[int]:
    """Group sizes for lengths in descending order: sequences above a part of their longest, or all the short ones.

    Args:
        least: that part. A larger one makes more groups, with less padding.
    """
    sizes, longest = [0], lengths[0]
    for length in lengths:
        if longest > _SHORT and length <= least * longest:
            sizes.append(0)
            longest = length
        sizes[-1] += 1
    return sizes


def _layout(sequences: torch.Tensor, lengths: torch.Tensor, members: tuple[torch.Tensor, ...]) -> _Layout:
    """The slots for the tokens of the queries or of the keys.

    Args:
        sequences: (tokens,), the sequence of each token.
        lengths: (sequences,), the number of tokens of each.
        members: the sequences of each group.
    """
    starts, group_lengths, sizes = torch.empty_like(lengths), [], []
    for group in members:
        longest = max(1, int(lengths[group].max()))
        starts[group] = sum(sizes) + torch.arange(len(group)) * longest
        group_lengths.append(longest)
        sizes.append(len(group) * longest)
    by_sequence = sequences.argsort(stable=True)
    ranks = torch.arange(len(sequences)) - (lengths.cumsum(0) - lengths)[sequences[by_sequence]]
    slots = torch.empty_like(sequences)
    slots[by_sequence] = starts[sequences[by_sequence]] + ranks
    tokens = torch.zeros(sum(sizes), dtype=torch.long)
    tokens[slots] = torch.arange(len(sequences))
    in_order = len(tokens) == len(slots) and bool((slots[1:] > slots[:-1]).all())
    return _Layout(tokens, slots, sizes, group_lengths, in_order)


__all__ = [
    "PackedSequences",
    "SequenceLengths",
    "group_sizes",
    "holds_several",
    "packed_cross_attention",
    "packed_self_attention",
    "takes_packed_rows",
]
