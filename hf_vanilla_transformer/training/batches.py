"""The endless stream of training batches: epoch after epoch of a token-budget sampler, the same after a resume."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class NumberedBatch(list):
    """A list that knows which batch of the training it is."""

    number: int = 0


class BatchStream:
    """A batch sampler over the whole training: `epochs` of `sampler`, one after the other, ``length`` batches in all.

    transformers' Trainer counts epochs of equal length, but batches filled by tokens need not be equally many in each
    epoch. It therefore sees the training as one epoch of `length` batches; a resume skips the batches already seen,
    which costs nothing, because a batch is only a list of row numbers here.

    Args:
        new_epoch: called with the number of each epoch before its first batch; returns the sampler of that epoch.
        length: number of batches in all.
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
                raise ValueError("The training data gave no batch: there is no row in it, or none fits the budget.")
            epoch += 1

    def __len__(self) -> int:
        return self.length


class Rows(Dataset):
    """Tokenised rows in memory.

    Args:
        columns: lists of token ids by the model's name for them; all of the same length.
        numbers: of the rows in the data set that was tokenised, where some of those were left out.
    """

    def __init__(self, columns: dict[str, Sequence[Sequence[int]]], numbers: np.ndarray | None = None) -> None:
        self.columns = columns
        self.numbers = numbers
        # Makes new columns before the next batch is read; a resumed run skips batches without reading them.
        self.refresh: Callable[[], dict[str, Sequence[Sequence[int]]]] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Sequence[int]]:
        return {name: column[index] for name, column in self.columns.items()}

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Sequence[int]]]:
        """A batch at once; it keeps its number, which the collator's randomness depends on."""
        return self.batch(indices, getattr(indices, "number", 0))

    def batch(self, indices: Sequence[int], number: int) -> NumberedBatch:
        """The rows of a batch with the given number."""
        if self.refresh is not None:
            self.columns, self.refresh = self.refresh(), None
        batch = NumberedBatch(self[index] for index in indices)
        batch.number = number
        return batch

    def joined(self, numbers: Iterable[int]) -> Iterator[np.ndarray]:
        """The tokens of a row's columns (source and target) together, for the rows of these numbers."""
        columns = list(self.columns.values())
        for index in numbers:
            yield np.concatenate([np.asarray(column[index], dtype=np.int64) for column in columns])

    def lengths(self) -> np.ndarray:
        """(rows, columns) tokens of each row."""
        return np.array([[len(ids) for ids in column] for column in self.columns.values()], dtype=np.int64).T


class SeededCollator:
    """Runs a collator under random numbers that depend on the seed and the number of the batch alone.

    Masking then is the same whatever was computed before, how many workers load the data, and after a resume, and it
    leaves the random numbers of the dropout alone.

    Args:
        collator: makes tensors of a list of rows.
        seed: of the run.
        rank: of the process, so that no two processes mask alike.
    """

    def __init__(self, collator: Callable[[list], dict[str, torch.Tensor]], seed: int, rank: int = 0) -> None:
        self.collator = collator
        self.seed = seed
        self.rank = rank

    def __call__(self, rows: list) -> dict[str, torch.Tensor]:
        sequence = np.random.SeedSequence([self.seed, self.rank, getattr(rows, "number", 0)])
        seed = int(sequence.generate_state(1)[0])
        python_state, numpy_state = random.getstate(), np.random.get_state()
        try:
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would seed the accelerator's dropout as well.
                torch.default_generator.manual_seed(seed)
                np.random.seed(seed)
                random.seed(seed)
                return self.collator(rows)
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def stream_loader(dataset: Dataset, stream: BatchStream, collator: SeededCollator, workers: int = 0) -> DataLoader:
    """The data loader of a training; every process makes its own, over its own rows."""
    return DataLoader(
        dataset,
        batch_sampler=stream,
        collate_fn=collator,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=False,
    )
