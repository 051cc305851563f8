"""Attention in packed rows, sequence by sequence: on CPU, where no kernel knows of packing.

A row that holds many sequences needs a mask that keeps each to itself, and most of what is computed is masked. Here the
sequences of all rows are put one under the other for the attention alone, those of like length together, so that hardly
anything is computed for padding or for other sequences. Everything else in a layer sees packed rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# Sequences up to this length are padded to each other's length: an attention is small there, another group costs more.
_SHORT = 32


class _Permute(torch.autograd.Function):
    """`states[there]`, where `back` leads to the places that the tokens have come from or gone to.

    Either `there` or `back` has padding: places that stand for no token. To pad is to repeat some token, which gets no
    gradient for it; to cut padding off is to give it no gradient.
    """

    @staticmethod
    def forward(context: Any, states: torch.Tensor, there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(there, back)
        context.pads = len(there) >= len(back)
        return states.index_select(0, there)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        there, back = context.saved_tensors
        if context.pads:
            return grad.index_select(0, back), None, None
        return grad.new_zeros(len(back), grad.shape[1]).index_copy_(0, there, grad), None, None


@dataclass(frozen=True)
class _Places:
    """Where the tokens of one side lie in the groups.

    Attributes:
        tokens: (places,), the token in each place; any for padding.
        places: (tokens,), the place of each token.
        sizes: number of places of each group.
        lengths: places of one sequence, in each group.
        in_order: whether each token is in its place already, so that nothing is to be moved.
    """

    tokens: torch.Tensor
    places: torch.Tensor
    sizes: list[int]
    lengths: list[int]
    in_order: bool

    def groups(self, states: torch.Tensor) -> list[torch.Tensor]:
        """(batch, heads, length, head_dim) to the groups' (sequences, heads, length of the group, head_dim)."""
        heads, head_dim = states.shape[1], states.shape[3]
        flat = states.transpose(1, 2).reshape(-1, heads * head_dim)
        if not self.in_order:
            flat = _Permute.apply(flat, self.tokens, self.places)
        parts = flat.split(self.sizes)
        return [part.view(-1, length, heads, head_dim).transpose(1, 2) for part, length in zip(parts, self.lengths)]

    def rows(self, groups: list[torch.Tensor], shape: torch.Size) -> torch.Tensor:
        """All groups (sequences, length, heads, head_dim) as `shape`: (batch, length, heads, head_dim)."""
        flat = torch.cat([group.flatten(2).flatten(0, 1) for group in groups])
        if not self.in_order:
            flat = _Permute.apply(flat, self.places, self.tokens)
        return flat.view(shape)


class PackedSequences:
    """The sequences of packed rows in groups of like length. It goes where an attention mask goes.

    Args:
        query_numbers: (batch, target), the number of the sequence of each position; -1 for padding.
        key_numbers: (batch, source), likewise. A query sees the keys of the same row and number.
        is_causal: whether it sees only those up to itself.
    """

    def __init__(self, query_numbers: torch.Tensor, key_numbers: torch.Tensor, is_causal: bool) -> None:
        rows = torch.arange(len(query_numbers))[:, None] * (int(max(query_numbers.max(), key_numbers.max())) + 2)
        sides = [(rows + numbers).flatten() for numbers in (query_numbers, key_numbers)]
        _, sequences = torch.unique(torch.cat(sides), return_inverse=True)
        sides = sequences.split([len(side) for side in sides])
        lengths = [torch.bincount(side, minlength=int(sequences.max()) + 1) for side in sides]
        longer_side, order = torch.maximum(*lengths).sort(descending=True)
        sizes = _group_sizes(longer_side.tolist())
        # A single group takes the sequences as they come: those of one length need not be moved at all.
        members = order.split(sizes) if len(sizes) > 1 else (torch.arange(len(order)),)
        self._queries, self._keys = (_lay_out(*side, members) for side in zip(sides, lengths))
        self._masks: list[torch.Tensor | None] = []
        for group, longest in zip(members, self._keys.lengths):
            # Padding lies behind, where no query of a causal group looks. A query of padding that has no keys at all
            # sees one: a softmax of nothing is no number.
            seen = torch.arange(longest) < lengths[1][group, None].clamp(min=1)
            self._masks.append(None if is_causal or bool(seen.all()) else seen[:, None, None, :])

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """The output (batch, target, heads, head_dim) of each sequence's attention.

        Args:
            query: (batch, heads, target, head_dim).
            key: (batch, heads, source, head_dim).
            value: (batch, heads, source, head_dim).
            attention: the kernel, called for each group with query, key, value and mask (sequences, 1, target, source).
        """
        batch, heads, target, head_dim = query.shape
        groups = (self._queries.groups(query), self._keys.groups(key), self._keys.groups(value), self._masks)
        outputs = []
        for queries, keys, values, mask in zip(*groups):
            seen = None if mask is None else mask.expand(-1, -1, queries.shape[2], -1)
            outputs.append(attention(queries, keys, values, seen))
        return self._queries.rows(outputs, torch.Size((batch, target, heads, head_dim)))


def _group_sizes(lengths: list[int]) -> list[int]:
    """How many of the sequences, longest first, make each group: above half of the longest, or all the short ones."""
    sizes, longest = [0], lengths[0]
    for length in lengths:
        if longest > _SHORT and length <= longest // 2:
            sizes.append(0)
            longest = length
        sizes[-1] += 1
    return sizes


def _lay_out(sequences: torch.Tensor, lengths: torch.Tensor, members: tuple[torch.Tensor, ...]) -> _Places:
    """Places for the tokens of one side.

    Args:
        sequences: (tokens,), the sequence of each.
        lengths: (sequences,), how many tokens each has.
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
    places = torch.empty_like(sequences)
    places[by_sequence] = starts[sequences[by_sequence]] + ranks
    tokens = torch.zeros(sum(sizes), dtype=torch.long)
    tokens[places] = torch.arange(len(sequences))
    in_order = len(tokens) == len(places) and bool((places[1:] > places[:-1]).all())
    return _Places(tokens, places, sizes, group_lengths, in_order)


__all__ = ["PackedSequences"]
