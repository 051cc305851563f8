"""Batches with a maximum number of tokens: the paper's "approximately 25000 source tokens and 25000 target tokens"."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from torch.utils.data import Sampler


class TokenBatchSampler(Sampler[list[int]]):
    """Yields lists of row indices such that no side of a batch has more than `max_tokens` tokens (section 5.1).

    A batch contains rows of similar lengths, so there is little padding. Each epoch shuffles rows of equal lengths and
    the order of the batches, with the seed `(seed, epoch)`. All epochs have the same number of batches. Use it as
    `DataLoader(dataset, batch_sampler=sampler, collate_fn=...)`, and call `set_epoch` before each epoch.

    With several processes, exactly one process gets each row of an epoch, and all processes make the same number of
    steps. Step `s` on process `r` is batch `s * num_replicas + r` of the order of a single process, so `n` processes
    are equivalent to one process that accumulates gradients over `n` batches. If the number of batches is not a
    multiple of the number of processes, the batches of the last step are split into one part per process (or dropped
    with `drop_last`).

    * Give each process its own `rank` and use the loader as it is, or
    * set `rank=None` and let Accelerate distribute the batches (`Accelerator.prepare` with
      `DataLoaderConfiguration(even_batches=False)`); `num_replicas` still makes their number a multiple.

    Args:
        lengths: tokens of each row, `(rows,)` or `(rows, sides)`; for translation source and target.
        max_tokens: the maximum number of tokens of a batch on each side.
        count: `"padded"` counts tokens and padding, rows x longest; `"sum"` counts only tokens, for packed batches.
        shuffle: if false, the order is the same in every epoch, from short to long.
        seed: the random seed of the order.
        num_replicas: the number of processes.
        rank: the number of this process, or None for the batches of all processes in turn.
        drop_last: drop the batches that do not fill a step of all processes, instead of splitting them.
        max_rows: the maximum number of rows of a batch, or None.

    Raises:
        ValueError: a single row exceeds the budget, there are fewer rows than processes, or an argument is illegal.
    """

    def __init__(
        self,
        lengths: Sequence[Any] | np.ndarray,
        max_tokens: int,
        *,
        count: Literal["padded", "sum"] = "padded",
        shuffle: bool = True,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int | None = 0,
        drop_last: bool = False,
        max_rows: int | None = None,
    ) -> None:
        self.lengths = _as_table(lengths)
        if count not in ("padded", "sum"):
            raise ValueError(f"count must be 'padded' or 'sum', but is {count!r}.")
        if num_replicas < 1 or (rank is not None and not 0 <= rank < num_replicas):
            raise ValueError(f"rank must be in [0, num_replicas), but rank={rank} and num_replicas={num_replicas}.")
        if max_rows is not None and max_rows < 1:
            raise ValueError(f"max_rows must be at least 1 or None, but is {max_rows}.")
        longest = self.lengths.max(axis=1)
        worst = int(longest.argmax())
        if longest[worst] > max_tokens:
            raise ValueError(
                f"Row {worst} has {longest[worst]} tokens, more than a batch may have (max_tokens={max_tokens}); raise "
                "max_tokens, or truncate or skip such rows."
            )
        if len(self.lengths) < num_replicas:
            raise ValueError(f"num_replicas={num_replicas} processes cannot share {len(self.lengths)} rows; use fewer.")
        self.max_tokens = int(max_tokens)
        self.count = count
        self.shuffle = shuffle
        self.seed = int(seed)
        self.num_replicas = num_replicas
        self.rank = rank
        self.drop_last = drop_last
        self.max_rows = max_rows

        self.epoch = 0
        self._start = 0  # batches to skip in the next iteration
        self._position = 0  # batches returned in this epoch
        # Rows are sorted by all sides, so the sequence of lengths and the cuts are the same in every epoch, in whatever
        # order rows of equal lengths are. The second side alternates between ascending and descending, so that it also
        # changes little where the first one changes; on Multi30k this saves a third of the padding.
        sides = list(self.lengths.T)
        if len(sides) > 1:
            sides[1] = np.where(sides[0] % 2, -sides[1], sides[1])
        self._keys = tuple(reversed(sides))
        in_order = self.lengths[np.lexsort(self._keys)]
        self._cuts = np.array(_cuts(in_order, self.max_tokens, count, max_rows), dtype=np.int64)
        self._batches_per_rank = len(self._share(self._split(np.arange(len(in_order))))) // num_replicas
        if self._batches_per_rank == 0:
            raise ValueError(
                f"{len(self.lengths)} rows make fewer batches than num_replicas={num_replicas}, and drop_last=True "
                "drops all of them; lower max_tokens or set drop_last=False."
            )

    def __len__(self) -> int:
        """The number of batches of this process in an epoch (of all if `rank` is None), also after resuming."""
        return self._batches_per_rank * (self.num_replicas if self.rank is None else 1)

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._epoch_batches()
        if self.rank is not None:
            batches = batches[self.rank :: self.num_replicas]
        start, self._start = self._start, 0
        self._position = start
        for batch in batches[start:]:
            self._position += 1
            yield batch.tolist()

    @property
    def sampler(self) -> "TokenBatchSampler":
        """This sampler, because Accelerate calls `set_epoch` on the `sampler` of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, which determines the order. It resets a restored position of another epoch."""
        if epoch != self.epoch:
            self._start = self._position = 0
        self.epoch = int(epoch)

    def state_dict(self) -> dict[str, int]:
        """The position: `epoch`, the number of `batches` returned, and a fingerprint of the order.

        A loader with worker processes requests batches in advance; set `batches` to the number of batches that were
        used.
        """
        return {"epoch": self.epoch, "batches": self._position, "seed": self.seed, "fingerprint": self._fingerprint()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resumes at a position: the next iteration returns the remaining batches.

        Raises:
            ValueError: the state belongs to other data, or to another budget, seed or number of processes.
        """
        if state["seed"] != self.seed or state["fingerprint"] != self._fingerprint():
            raise ValueError(
                f"The saved order has seed {state['seed']} and fingerprint {state['fingerprint']}, this one seed "
                f"{self.seed} and fingerprint {self._fingerprint()}: the lengths of the rows, max_tokens, count, "
                "max_rows, shuffle or the number of processes differ, so it cannot be resumed. Restore them, or start "
                "a new epoch with set_epoch."
            )
        if not 0 <= state["batches"] <= len(self):
            raise ValueError(f"The saved position is batch {state['batches']}, but an epoch has {len(self)} batches.")
        self.epoch = state["epoch"]
        self._start = self._position = state["batches"]

    def padding(self) -> float:
        """The fraction of padding in an epoch of padded batches, over all sides, in [0, 1)."""
        order = self.lengths[np.lexsort(self._keys)]
        rows = np.diff(self._cuts, append=len(order))
        longest = np.maximum.reduceat(order, self._cuts, axis=0)
        return float(1 - order.sum() / (longest * rows[:, None]).sum())

    def _fingerprint(self) -> int:
        settings = (self.max_tokens, self.count, self.shuffle, self.num_replicas, self.rank is None, self.drop_last)
        return zlib.crc32(self.lengths.tobytes(), zlib.crc32(repr((*settings, self.max_rows)).encode()))

    def _epoch_batches(self) -> list[np.ndarray]:
        if not self.shuffle:
            return self._share(self._split(np.lexsort(self._keys)))
        random = np.random.default_rng([self.seed, self.epoch])
        shuffled = random.permutation(len(self.lengths))
        order = shuffled[np.lexsort(tuple(key[shuffled] for key in self._keys))]
        batches = self._split(order)
        return self._share([batches[index] for index in random.permutation(len(batches))])

    def _split(self, order: np.ndarray) -> list[np.ndarray]:
        return np.split(order, self._cuts[1:])

    def _share(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        """Makes the number of batches a multiple of the number of processes."""
        steps, left = divmod(len(batches), self.num_replicas)
        if left == 0:
            return batches
        full = steps * self.num_replicas
        if self.drop_last:
            return batches[:full]
        # Nearly always the last step has rows for all processes; otherwise earlier steps are split too.
        while sum(map(len, batches[full:])) < (parts := (steps + 1) * self.num_replicas - full):
            full -= self.num_replicas
        return batches[:full] + _cut_evenly(batches[full:], parts)


def _as_table(lengths: Sequence[Any] | np.ndarray) -> np.ndarray:
    table = np.asarray(lengths)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.size == 0 or not np.issubdtype(table.dtype, np.integer) or table.min() < 0:
        raise ValueError(
            "lengths must be numbers of tokens, (rows,) or (rows, sides) with at least one row, but has shape "
            f"{np.asarray(lengths).shape} and type {np.asarray(lengths).dtype}."
        )
    return np.ascontiguousarray(table, dtype=np.int64)


def _cuts(lengths: np.ndarray, max_tokens: int, count: str, max_rows: int | None) -> list[int]:
    """The indices at which batches begin, if each takes rows in order until the next one would exceed the budget.

    Args:
        lengths: `(rows, sides)`, sorted by the first side.
    """
    cuts, begin, total = [], 0, len(lengths)
    running = np.vstack([np.zeros((1, lengths.shape[1]), dtype=np.int64), lengths.cumsum(axis=0)])
    while begin < total:
        cuts.append(begin)
        if count == "sum":
            budgets = running[begin] + max_tokens
            end = min(
                int(np.searchsorted(running[:, side], budgets[side], side="right")) - 1
                for side in range(lengths.shape[1])
            )
        else:
            # The first side is sorted, so the first row bounds the size of the batch, and the window is short.
            window = lengths[begin : begin + max_tokens // max(1, int(lengths[begin, 0]))]
            longest = np.maximum.accumulate(window, axis=0).max(axis=1)
            fits = longest * np.arange(1, len(window) + 1) <= max_tokens
            end = begin + int(fits.sum())  # `fits` is true up to some row and false from there on
        begin = end if max_rows is None else min(end, begin + max_rows)
    return cuts


def _cut_evenly(batches: list[np.ndarray], parts: int) -> list[np.ndarray]:
    """Splits the largest batches until there are `parts` of them; adjacent rows stay adjacent."""
    pieces = [1] * len(batches)
    for _ in range(parts - len(batches)):
        rows = [len(batch) / count if len(batch) > count else 0 for batch, count in zip(batches, pieces)]
        pieces[int(np.argmax(rows))] += 1
    return [part for batch, count in zip(batches, pieces) for part in np.array_split(batch, count)]
