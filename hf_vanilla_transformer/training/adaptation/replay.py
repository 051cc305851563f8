"""Replay: mixes general text into the domain text, to reduce forgetting."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...data import TokenBatchSampler
from ..batches import Rows
from ..corpus import Ragged


def joined(first: Rows, second: Rows) -> Rows:
    """Concatenates the rows of both."""
    columns = {}
    for name, column in first.columns.items():
        other = second.columns[name]
        offsets = np.concatenate([column.offsets, column.offsets[-1] + other.offsets[1:]])
        columns[name] = Ragged(np.concatenate([column.ids, other.ids]), offsets)
    return Rows(columns)


class RowLengths:
    """The lengths of rows, which are all that a batch sampler needs.

    Args:
        table: (rows, sides) tokens of each row.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def lengths(self) -> np.ndarray:
        """(rows, sides) tokens of each row."""
        return self.table


class ReplaySampler:
    """Batches of an epoch: every domain row once, and general rows up to their share of the tokens.

    General rows are drawn in random passes: no row repeats before all were drawn, even across epochs. If the share ends
    within a row, that row is drawn with the probability of the part that is needed, so the share is exact in
    expectation. The order depends only on the seed and the number of the epoch, so a resumed run sees the same rows.

    Args:
        lengths: (rows, sides) tokens of each row, domain rows first.
        domain_rows: number of domain rows.
        share: of general text among all tokens, in (0, 1).
        sampler: returns the batches of rows.
        seed: of the order.

    Raises:
        ValueError: the share is not in (0, 1), or one of the texts has no rows.
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
            raise ValueError(f"share must be in (0, 1), not {share}.")
        if not 0 < domain_rows < len(lengths):
            raise ValueError(
                f"domain_rows must be above 0 and below the number of all rows, {len(lengths)}, not {domain_rows}: "
                "replay needs rows of both texts."
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
        """Batches of the first epoch; the other epochs have about as many."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            yield self._rows[batch].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Draws the general rows and the order of an epoch."""
        general = self.domain_rows + self.general_rows(epoch)
        self._rows = np.concatenate([np.arange(self.domain_rows), general])
        self._batches = self._sampler(RowLengths(self.lengths[self._rows]))
        self._batches.set_epoch(epoch)

    def padding(self) -> float:
        """The fraction of padding in a padded epoch."""
        return self._batches.padding()

    def general_rows(self, epoch: int) -> np.ndarray:
        """(drawn,) numbers of the general rows of an epoch, from 0; a row may repeat if there are few."""
        begin, end = self._boundary(epoch), self._boundary(epoch + 1)
        count = len(self._general_tokens)
        passes = [self._pass(number) for number in range(begin // count, -(-end // count))]
        first = begin // count * count
        return np.concatenate([*passes, np.zeros(0, dtype=np.int64)])[begin - first : end - first]

    def _pass(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 1, number]).permutation(len(self._general_tokens))

    def _boundary(self, epoch: int) -> int:
        """The number of general rows before an epoch, counted over all passes."""
        if epoch == 0:
            return 0
        number, tokens = divmod(epoch * self._tokens_each_epoch, int(self._general_tokens.sum()))
        ends = self._general_tokens[self._pass(int(number))].cumsum()
        whole = int(np.searchsorted(ends, tokens, side="right"))
        before = ends[whole - 1] if whole else 0
        length = (ends[whole] - before) if whole < len(ends) else 1
        cut = np.random.default_rng([self.seed, 2, epoch]).random() < (tokens - before) / length
        return int(number) * len(ends) + whole + int(cut)
