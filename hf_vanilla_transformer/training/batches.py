"""The batches of a training: epoch after epoch, in an order that depends on the seed alone, also after a resume."""

from __future__ import annotations

import copy
import random
import signal
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Batches(ABC):
    """The batches of an entire training: the rows, their order, and the collator that makes tensors of them.

    They depend on the seed alone, so a resumed training continues with the batch after the last one that it used.

    Attributes:
        updates_per_epoch: updates in one pass over the rows; None for a stream, whose length is not known.
        processes: number of processes that train on different batches.
        accumulation: batches per process that are accumulated for one update.
    """

    updates_per_epoch: int | None = None
    processes: int
    accumulation: int

    @property
    def batches_per_update(self) -> int:
        """Batches of all processes in one update: the global batch."""
        return self.processes * self.accumulation

    @abstractmethod
    def loader(self, updates: int, rank: int) -> DataLoader:
        """All batches of process `rank` in a training of `updates` updates."""

    @abstractmethod
    def epochs(self, updates: int) -> float:
        """Passes over the rows after `updates` updates."""

    def state_dict(self, updates: int) -> dict[str, Any] | None:
        """The state after `updates` updates, for a resume; None if the number of updates is enough."""
        return None

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the result of `state_dict`. Call `loader` first."""
        raise NotImplementedError

    def fingerprint(self) -> int | None:
        """A number that differs if the rows or their order in the data differ; None if that is not known."""
        return None

    def rows_of(self, update: int, rank: int) -> list[list[int]] | None:
        """The numbers of the training rows in each batch of an update of process `rank`; None for a stream.

        Args:
            update: its number, from 1.
            rank: of the process.
        """
        return None


class NumberedBatch(list):
    """A list of rows with the number of its batch in the training."""

    number: int = 0


class BatchStream:
    """A batch sampler over the entire training: one epoch after another, ``length`` batches in total.

    transformers' Trainer counts epochs of equal length, but batches filled by tokens may differ in number between
    epochs. Trainer therefore sees one epoch of `length` batches. A resume skips the batches that were used; that is
    cheap, because a batch is only a list of row numbers here.

    Args:
        new_epoch: called with the number of each epoch before its first batch; returns the sampler of that epoch.
        length: total number of batches.

    Raises:
        ValueError: an epoch has no batch.
    """

    def __init__(self, new_epoch: Callable[[int], Any], length: int) -> None:
        self.new_epoch = new_epoch
        self.length = length

    def __iter__(self) -> Iterator[NumberedBatch]:
        number, epoch = 0, 0
        while number < self.length:
            started = number
            for rows in self.new_epoch(epoch):
                batch = NumberedBatch(rows)
                batch.number = number
                yield batch
                number += 1
                if number == self.length:
                    return
            if number == started:
                raise ValueError("The training data makes no batch: it has no rows, or too few to fill one update.")
            epoch += 1

    def __len__(self) -> int:
        return self.length


class Rows(Dataset):
    """Tokenised rows in memory.

    Args:
        columns: lists of token ids by the name of the model's argument; all of the same length.
        numbers: the rows' numbers in the tokenised data set, if some of its rows were left out.
    """

    def __init__(self, columns: dict[str, Sequence[Sequence[int]]], numbers: np.ndarray | None = None) -> None:
        self.columns = columns
        self.numbers = numbers
        # Called before the next batch is read, to make new columns: a resumed run skips batches without reading them.
        self.refresh: Callable[[], dict[str, Sequence[Sequence[int]]]] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Sequence[int]]:
        return {name: column[index] for name, column in self.columns.items()}

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Sequence[int]]]:
        """The rows of a batch; it keeps its number, on which the collator's random numbers depend."""
        return self.batch(indices, getattr(indices, "number", 0))

    def batch(self, indices: Sequence[int], number: int) -> NumberedBatch:
        """The rows of `indices` as batch number `number`."""
        if self.refresh is not None:
            self.columns, self.refresh = self.refresh(), None
        batch = NumberedBatch(self[index] for index in indices)
        batch.number = number
        return batch

    def joined(self, numbers: Iterable[int]) -> Iterator[np.ndarray]:
        """The concatenated tokens of all columns (source and target) of each row in `numbers`."""
        columns = list(self.columns.values())
        for index in numbers:
            yield np.concatenate([np.asarray(column[index], dtype=np.int64) for column in columns])

    def fingerprint(self) -> int:
        """A checksum of all tokens and of where the rows begin."""
        checksum = zlib.crc32(np.ascontiguousarray(self.lengths()))
        for column in self.columns.values():
            ids = getattr(column, "ids", None)  # of a ragged column: all tokens in one array
            for array in [ids] if ids is not None else map(np.asarray, column):
                checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
        return checksum

    def lengths(self) -> np.ndarray:
        """(rows, columns) tokens of each row."""
        return np.array([[len(ids) for ids in column] for column in self.columns.values()], dtype=np.int64).T


class SeededCollator:
    """Runs a collator with random numbers that depend only on the seed and the number of the batch.

    The number counts the batches of all processes. Masking is then independent of the number of processes, of earlier
    computations, of the number of data-loading workers and of a resume, and does not change the random numbers of
    dropout.

    Args:
        collator: makes tensors of a list of rows.
        seed: of the run.
        rank, processes: batch `number` of this process is batch `number * processes + rank` of all of them.
    """

    def __init__(
        self, collator: Callable[[list], dict[str, torch.Tensor]], seed: int, *, rank: int = 0, processes: int = 1
    ) -> None:
        self.collator = collator
        self.seed = seed
        self.rank = rank
        self.processes = processes

    def __call__(self, rows: list) -> dict[str, torch.Tensor]:
        number = getattr(rows, "number", 0) * self.processes + self.rank
        sequence = np.random.SeedSequence([self.seed, number])
        seed = int(sequence.generate_state(1)[0])
        python_state, numpy_state = random.getstate(), np.random.get_state()
        try:
            with torch.random.fork_rng(devices=[]):
                # torch.manual_seed would also seed the accelerator, and so its dropout.
                torch.default_generator.manual_seed(seed)
                np.random.seed(seed)
                random.seed(seed)
                return self.collator(rows)
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


class TableRows(Dataset):
    """The rows of a table of the `datasets` library. As in `Rows`, a batch keeps its number.

    Args:
        table: with the columns that the collator takes.
    """

    def __init__(self, table: Any) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.table[index]

    def fingerprint(self) -> int:
        """A checksum of all values."""
        checksum = 0
        for name in self.table.column_names:
            for value in self.table[name]:
                checksum = zlib.crc32(repr(value).encode(), checksum)
        return checksum

    def __getitems__(self, indices: Sequence[int]) -> NumberedBatch:
        """The rows of a batch, with its number."""
        batch = NumberedBatch(self.table.__getitems__(list(indices)))
        batch.number = getattr(indices, "number", 0)
        return batch


class EpochBatches(Batches):
    """Batches of rows in memory: epochs of a sampler, one after the other.

    Args:
        rows: `Rows` or `TableRows`.
        sampler: the batches of an epoch, as lists of row numbers, for all processes in turn; only as many as fill
            complete updates. Its `set_epoch` chooses their order.
        collator: makes tensors of a list of rows.
        seed: of the collator's random numbers.
        processes: number of training processes.
        accumulation: batches per process that are accumulated for one update.
        workers: data-loading processes.
        reencode: returns new columns of the rows for each epoch; None to keep them.
    """

    def __init__(
        self,
        rows: Rows | TableRows,
        sampler: Any,
        collator: Callable[[list], dict[str, torch.Tensor]],
        *,
        seed: int,
        processes: int = 1,
        accumulation: int = 1,
        workers: int = 0,
        reencode: Callable[[], dict[str, Sequence[Sequence[int]]]] | None = None,
    ) -> None:
        self.rows = rows
        self.sampler = sampler
        self.collator = collator
        self.seed = seed
        self.processes = processes
        self.accumulation = accumulation
        self.workers = workers
        self.reencode = reencode
        self._fingerprint: int | None = None
        self.updates_per_epoch = len(sampler) // (processes * accumulation)

    def loader(self, updates: int, rank: int) -> DataLoader:
        """All batches of process `rank` in a training of `updates` updates."""
        dataset = self.rows
        if self.reencode is not None:
            dataset = Rows(dict(self.rows.columns))

        def new_epoch(epoch: int) -> list[list[int]]:
            if self.reencode is not None:
                dataset.refresh = self.reencode
            self.sampler.set_epoch(epoch)
            # Batch i goes to process i mod n, so n processes see in one step what one process accumulates.
            return [rows for index, rows in enumerate(self.sampler) if index % self.processes == rank]

        stream = BatchStream(new_epoch, updates * self.accumulation)
        collator = SeededCollator(self.collator, self.seed, rank=rank, processes=self.processes)
        return batch_loader(dataset, stream, collator, self.workers)

    def rows_of(self, update: int, rank: int) -> list[list[int]]:
        """The numbers of the training rows in each batch of an update of process `rank`."""
        sampler = copy.copy(self.sampler)  # the training goes on with its own

        def new_epoch(epoch: int) -> list[list[int]]:
            sampler.set_epoch(epoch)
            return [rows for index, rows in enumerate(sampler) if index % self.processes == rank]

        first, end = (update - 1) * self.accumulation, update * self.accumulation
        numbers = getattr(self.rows, "numbers", None)
        return [
            [int(row if numbers is None else numbers[row]) for row in rows]
            for rows in islice(BatchStream(new_epoch, end), first, end)
        ]

    def epochs(self, updates: int) -> float:
        """Passes over the rows after `updates` updates."""
        return updates / self.updates_per_epoch

    def fingerprint(self) -> int:
        """A checksum of the rows."""
        if self._fingerprint is None:
            self._fingerprint = self.rows.fingerprint()
        return self._fingerprint


def batch_loader(
    dataset: Dataset, batch_sampler: Any, collator: Callable[[list], dict[str, torch.Tensor]], workers: int = 0
) -> DataLoader:
    """The data loader of one process of a training."""
    return DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        collate_fn=collator,
        num_workers=workers,
        worker_init_fn=_leave_signals_to_the_training,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=False,
    )


def _leave_signals_to_the_training(worker: int) -> None:
    """Ignores signals, which often reach all processes of a terminal or a job: the training still needs its batches."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
