"""Training batches from streamed text: tokenised, packed and shuffled while reading, and exactly resumable."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from ..data import RowReport, load_texts
from ..data.readers.splits import choose_split, files_of_split
from ..data.streams import Mixture, OpenTexts, RowStream, ShuffleBuffer, TextStream, first_texts, pack_rows, unpack_rows
from .batches import Batches, NumberedBatch, SeededCollator, batch_loader
from .recipes.mixture import TextSource, mixture_sources
from .recipes.objective import OBJECTIVES
from .recipes.training_recipe import Recipe
from .text_rows import TextRows

# Number of texts of a stream for training its tokenizer, if tokenizer.max_rows is not set.
_TOKENIZER_TEXTS = 100_000
# How much of each file of a stream is compared when a run resumes.
_BLOCKS, _BLOCK = 16, 2**16


def is_streamed(recipe: Recipe) -> bool:
    """Whether the training text is read during training and never entirely in memory."""
    return recipe.task in OBJECTIVES.values() and (recipe.data.streaming or bool(recipe.data.mixture))


def open_source(recipe: Recipe, source: TextSource, skip: int = 0) -> tuple[datasets.IterableDataset, RowReport]:
    """Reads one source from its beginning, without held-out texts.

    Args:
        recipe: decides how bad rows are treated and how many texts are read.
        source: path, split and weight.
        skip: number of texts at the beginning to skip.

    Raises:
        FileNotFoundError: the source or its split does not exist.
    """
    path, split = choose_split(source.path, source.config, source.split, "train", field="source")
    texts, report = load_texts(
        path,
        column=source.text_column,
        split=split,
        config_name=source.config,
        sample_by=source.sample_by,
        streaming=True,
        on_bad_row=recipe.data.on_bad_row,
    )
    texts = texts.skip(skip) if skip else texts
    return (texts if recipe.data.max_rows is None else texts.take(recipe.data.max_rows)), report


def open_sources(recipe: Recipe, held_out: int = 0) -> tuple[list[OpenTexts], list[float]]:
    """Functions that open the sources of the training text, and their weights.

    Args:
        recipe: names the sources.
        held_out: number of texts at the beginning of the first source that are held out of training.

    Raises:
        ValueError: the recipe names no source.
    """
    sources = mixture_sources(recipe.data)
    if not sources:
        raise ValueError(
            "data.path and data.mixture are not set: there is no training text. Set one of them, such as --data.path "
            "corpus.txt or --data.mixture '[{path: a.txt, weight: 3}, {path: b.txt}]'."
        )
    openers = [partial(open_source, recipe, source, 0 if number else held_out) for number, source in enumerate(sources)]
    return openers, [source.weight for source in sources]


def tokenizer_sample(recipe: Recipe, held_out: int = 0) -> datasets.IterableDataset:
    """The texts for training the tokenizer of a stream: the first texts of each source."""
    openers, weights = open_sources(recipe, held_out)
    return first_texts(openers, weights, recipe.tokenizer.max_rows or _TOKENIZER_TEXTS)


def source_fingerprint(recipe: Recipe) -> int:
    """A number that differs if the files of a stream differ in name, size or one of a few blocks that are read.

    The entire text is not read, because it may have any size. Of data sets on the Hub, only the names count.
    """
    checksum = 0
    for source in mixture_sources(recipe.data):
        path, split = choose_split(source.path, source.config, source.split, "train", field="source")
        for file in files_of_split(path, split):
            size = file.stat().st_size
            checksum = zlib.crc32(f"{file.name} {size}".encode(), checksum)
            with file.open("rb") as opened:
                for part in range(_BLOCKS):
                    opened.seek(max(0, size - _BLOCK) * part // (_BLOCKS - 1))
                    checksum = zlib.crc32(opened.read(_BLOCK), checksum)
    return checksum


class StreamedRows:
    """The training rows of a stream, like `Rows` for text in memory.

    Args:
        recipe: decides the sources, their weights, the shuffle buffer and the size of batches.
        tokenizer: splits texts into tokens.
        held_out: number of texts at the beginning of the first source that are held out of training.
    """

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, held_out: int = 0) -> None:
        self.recipe = recipe
        openers, weights = open_sources(recipe, held_out)
        cut = TextRows(recipe, tokenizer).rows
        mixture = Mixture([RowStream(TextStream(opener), cut) for opener in openers], weights)
        self.mixture = mixture
        self.rows = ShuffleBuffer(mixture, recipe.data.shuffle_buffer, recipe.training.seed)
        self._waiting: np.ndarray | None = None

    @property
    def passes(self) -> int:
        """The number of complete passes over every source."""
        return self.rows.passes

    def next_batch(self) -> list[np.ndarray]:
        """The next rows up to ``training.tokens_per_batch`` tokens; at least one row, even if it is longer."""
        budget, packed = self.recipe.training.tokens_per_batch, self.recipe.data.packing
        batch: list[np.ndarray] = []
        total = longest = 0
        while True:
            row = next(self.rows) if self._waiting is None else self._waiting
            self._waiting = None
            total, longest = total + len(row), max(longest, len(row))
            if batch and (total if packed else longest * (len(batch) + 1)) > budget:
                self._waiting = row
                return batch
            batch.append(row)

    def state_dict(self) -> dict[str, Any]:
        """The position in the stream, and the first row of the next batch."""
        return {"rows": self.rows.state_dict(), "waiting": pack_rows([] if self._waiting is None else [self._waiting])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the result of `state_dict`."""
        self.rows.load_state_dict(state["rows"])
        waiting = unpack_rows(state["waiting"])
        self._waiting = waiting[0] if waiting else None


class StreamedBatchSampler:
    """The batches of one process, as a batch sampler whose "indices" are the rows themselves.

    All processes read the entire stream, and batch i goes to process i mod n: in one update, n processes see the
    batches that one process would accumulate. Batches are made before they are used (workers prefetch, and accelerate
    looks one batch ahead), so the state includes batches that were made and not used.

    Args:
        rows: the stream.
        length: number of batches of this process in the entire training.
        rank, processes: number of this process, and of all.
        ahead: the most batches of a process that are made before they are used.
    """

    def __init__(self, rows: StreamedRows, length: int, *, rank: int = 0, processes: int = 1, ahead: int = 16) -> None:
        self.rows = rows
        self.length = length
        self.rank = rank
        self.processes = processes
        self._made: deque[tuple[int, list[np.ndarray]]] = deque(maxlen=(ahead + 1) * processes)
        self._pending: deque[tuple[int, list[np.ndarray]]] = deque()
        self._next = 0  # number of the next batch of the stream

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[NumberedBatch]:
        first = self._pending[0][0] if self._pending else self._next
        for number in range(self.length):
            batch = NumberedBatch()
            # A resumed training skips the batches that it has used, without reading them.
            if number * self.processes >= first:
                batch = NumberedBatch({"input_ids": row} for row in self._batch(number * self.processes + self.rank))
            batch.number = number
            yield batch

    def _batch(self, number: int) -> list[np.ndarray]:
        """Batch `number` of the stream; batches before it belong to other processes."""
        while True:
            if self._pending:
                made = self._pending.popleft()
            else:
                made = (self._next, self.rows.next_batch())
                self._next += 1
            self._made.append(made)
            if made[0] == number:
                return made[1]

    def state_dict(self, used: int) -> dict[str, Any]:
        """The state after every process has used `used` batches.

        Raises:
            ValueError: an unused batch is no longer kept, because more than `ahead` batches were made after it.
        """
        first = used * self.processes
        kept = [made for made in (*self._made, *self._pending) if made[0] >= first]
        if kept and kept[0][0] != first:
            raise ValueError(f"Batch {first} of the stream is no longer kept; the first kept batch is {kept[0][0]}.")
        return {
            "stream": self.rows.state_dict(),
            "next": self._next,
            "batches": [len(rows) for _, rows in kept],
            "rows": pack_rows([row for _, rows in kept for row in rows]),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the result of `state_dict`, after the same number of used batches."""
        self.rows.load_state_dict(state["stream"])
        self._next = state["next"]
        rows = iter(unpack_rows(state["rows"]))
        first = self._next - len(state["batches"])
        self._made.clear()
        self._pending = deque(
            (first + index, [next(rows) for _ in range(count)]) for index, count in enumerate(state["batches"])
        )


class _RowsAsGiven(Dataset):
    """A data set that returns its indices, which are the rows; workers need no other data."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitems__(self, batch: NumberedBatch) -> NumberedBatch:
        return batch


class StreamBatches(Batches):
    """Batches of a stream. The training process reads and tokenises the text; workers only collate rows.

    Args:
        rows: the stream.
        collator: makes tensors of a list of rows.
        seed: of the collator's random numbers.
        processes: number of training processes.
        accumulation: batches per process that are accumulated for one update.
        workers: data-loading processes.
    """

    def __init__(
        self,
        rows: StreamedRows,
        collator: Callable[[list], dict[str, torch.Tensor]],
        *,
        seed: int,
        processes: int = 1,
        accumulation: int = 1,
        workers: int = 0,
    ) -> None:
        self.rows = rows
        self.collator = collator
        self.seed = seed
        self.processes = processes
        self.accumulation = accumulation
        self.workers = workers
        self._sampler: StreamedBatchSampler | None = None
        self._fingerprint: int | None = None

    def loader(self, updates: int, rank: int) -> DataLoader:
        """All batches of process `rank` in a training of `updates` updates."""
        # Each worker prefetches two batches, the batches of an update are fetched together, and accelerate looks ahead.
        ahead = 2 * self.workers + self.accumulation + 2
        self._sampler = StreamedBatchSampler(
            self.rows, updates * self.accumulation, rank=rank, processes=self.processes, ahead=ahead
        )
        collator = SeededCollator(self.collator, self.seed, rank=rank, processes=self.processes)
        return batch_loader(_RowsAsGiven(len(self._sampler)), self._sampler, collator, self.workers)

    def epochs(self, updates: int) -> float:
        """Complete passes over the sources."""
        return float(self.rows.passes)

    def fingerprint(self) -> int:
        """A checksum of parts of the files."""
        if self._fingerprint is None:
            self._fingerprint = source_fingerprint(self.rows.recipe)
        return self._fingerprint

    def state_dict(self, updates: int) -> dict[str, Any]:
        """The position in the stream, with the batches that were made and not used."""
        return self._sampler.state_dict(updates * self.accumulation)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the result of `state_dict`."""
        self._sampler.load_state_dict(state)
