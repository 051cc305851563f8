"""Replay: general text among the domain's, so that learning the one does not overwrite the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...data import TokenBatchSampler
from ..batches import Rows
from ..corpus import Ragged


def joined(first: Rows, second: Rows) -> Rows:
    """The rows of both, one after the other."""
    columns = {}
    for name, column in first.columns.items():
        other = second.columns[name]
        offsets = np.concatenate([column.offsets, column.offsets[-1] + other.offsets[1:]])
        columns[name] = Ragged(np.concatenate([column.ids, other.ids]), offsets)
    return Rows(columns)


class RowLengths:
    """Rows of which nothing but the lengths is known, which is all that the order of batches depends on.

    Args:
        table: (rows, sides) tokens of each.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def lengths(self) -> np.ndarray:
        """(rows, sides) tokens of each row."""
        return self.table


class ReplaySampler:
    """Batches of an epoch: every row of the domain once, and as many general rows as make up their share of the tokens.

    General rows come in random passes: none comes again before all have come, also over the ends of epochs. Where the
    share ends within a row, the row is taken with the probability of its part, so that the share is exact in
    expectation. Everything follows from the seed and the number of the epoch, so that a resumed run sees the same rows.

    Args:
        lengths: (rows, sides) tokens of each row, those of the domain first.
        domain_rows: how many of them are the domain's.
        share: of general text among all tokens, in (0, 1).
        sampler: makes the batches of some rows.
        seed: of the order.

    Raises:
        ValueError: the share is not in (0, 1), or one of the two texts has no rows.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        domain_rows: int,
        share: float,
        sampler: Callable[[RowLengths], TokenBatchSampler],
        seed: int,
    ) -> None:
        if not 0 < share < 1:
            raise ValueError(f"The share of replayed text must be in (0, 1), but is {share}.")
        if not 0 < domain_rows < len(lengths):
            raise ValueError(
                f"Of {len(lengths)} rows {domain_rows} are the domain's: replay needs rows of the domain and of "
                "general text."
            )
        self.lengths = lengths
        self.domain_rows = domain_rows
        self.share = share
        self.seed = seed
        self._sampler = sampler
        tokens = lengths.sum(axis=1)
        self._general_tokens = tokens[domain_rows:]
        self._tokens_each_epoch = tokens[:domain_rows].sum() * share / (1 - share)
        self.set_epoch(0)
        self._length = len(self._batches)

    def __len__(self) -> int:
        """Batches of the first epoch; others have about as many."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            yield self._rows[batch].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Chooses the general rows and the order of an epoch."""
        general = self.domain_rows + self.general_rows(epoch)
        self._rows = np.concatenate([np.arange(self.domain_rows), general])
        self._batches = self._sampler(RowLengths(self.lengths[self._rows]))
        self._batches.set_epoch(epoch)

    def padding(self) -> float:
        """The part of a padded epoch that is padding."""
        return self._batches.padding()

    def general_rows(self, epoch: int) -> np.ndarray:
        """(drawn,) numbers of the general rows of an epoch, from 0; with few of them a row may come several times."""
        begin, end = self._boundary(epoch), self._boundary(epoch + 1)
        count = len(self._general_tokens)
        passes = [self._pass(number) for number in range(begin // count, -(-end // count))]
        first = begin // count * count
        return np.concatenate([*passes, np.zeros(0, dtype=np.int64)])[begin - first : end - first]

    def _pass(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 1, number]).permutation(len(self._general_tokens))

    def _boundary(self, epoch: int) -> int:
        """How many general rows come before an epoch, counted over all passes."""
        if epoch == 0:
            return 0
        number, tokens = divmod(epoch * self._tokens_each_epoch, int(self._general_tokens.sum()))
        ends = self._general_tokens[self._pass(int(number))].cumsum()
        whole = int(np.searchsorted(ends, tokens, side="right"))
        before = ends[whole - 1] if whole else 0
        length = (ends[whole] - before) if whole < len(ends) else 1
        cut = np.random.default_rng([self.seed, 2, epoch]).random() < (tokens - before) / length
        return int(number) * len(ends) + whole + int(cut)
