"""Streams of token rows from texts of any size, which can stop and resume at any row.

`TextStream` → `RowStream` → `Mixture` → `ShuffleBuffer` are endless iterators. `state_dict` of the last one contains
the positions of all of them, as tensors and plain values, and `load_state_dict` restores them.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import datasets
import numpy as np
import torch

from .readers.row_report import RowReport

logger = logging.getLogger(__name__)

# Texts per call of the tokenizer: enough to use all of its threads, few enough to start soon.
_TEXTS_AT_ONCE = 500
_SECONDS_BETWEEN_LOGS = 10.0

OpenTexts = Callable[[], tuple[datasets.IterableDataset, RowReport]]
CutRows = Callable[[list[str], np.ndarray], tuple[list[np.ndarray], np.ndarray]]


class Stream(Protocol):
    """The methods of all iterators here."""

    def __next__(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class TextStream:
    """The texts of one source, from beginning to end, again and again, several at a time.

    Args:
        open_texts: opens the source at its beginning: returns a stream with the column `text`, and the report of its
            rows, like `load_texts(..., streaming=True)`.

    Attributes:
        passes: how many times the source was read to its end.
    """

    def __init__(self, open_texts: OpenTexts) -> None:
        self.open_texts = open_texts
        self.passes = 0
        self._position: dict[str, Any] | None = None
        self._rows: Iterator[dict[str, str]] | None = None
        self._dataset: datasets.IterableDataset | None = None
        self._report: RowReport | None = None
        self._from_beginning = True
        self._any = False

    def __iter__(self) -> "TextStream":
        return self

    def __next__(self) -> list[str]:
        """The next texts; at least one.

        Raises:
            ValueError: the source has no valid text.
        """
        while True:
            if self._rows is None:
                self._rows = self._open()
            texts = []
            for row in self._rows:
                texts.append(row["text"])
                if len(texts) == _TEXTS_AT_ONCE:
                    break
            if texts:
                self._any = True
                self._position = self._dataset.state_dict()
                return texts
            self._finish_pass()

    def _open(self) -> Iterator[dict[str, str]]:
        """Opens the source at its beginning, or at the restored position."""
        # Each iteration of a data set begins at its restored state, so one with such a state must be opened again.
        if self._dataset is None or self._position is not None or not self._from_beginning:
            self._dataset, self._report = self.open_texts()
        self._from_beginning = self._position is None
        if self._position is not None:
            logger.info("Resuming in %s after the texts that were already read", self._report.origin)
            self._dataset.load_state_dict(self._position)
        return iter(self._dataset)

    def _finish_pass(self) -> None:
        report = self._report
        if not self._any:
            raise ValueError(f"The stream contains no valid text.\n{report}")
        if self.passes == 0 and report is not None and report.skipped:
            logger.warning("%s", report)
        self.passes += 1
        self._rows = self._position = None

    def state_dict(self) -> dict[str, Any]:
        """The position in the source."""
        return {"passes": self.passes, "position": json.dumps(self._position)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes at the position of `state_dict`; earlier texts are skipped without tokenizing them."""
        self.passes = state["passes"]
        self._position = json.loads(state["position"])
        self._rows = None
        # A restored position follows at least one text.
        self._any = self.passes > 0 or self._position is not None


class RowStream:
    """The texts of one source as rows of token ids.

    Args:
        texts: the texts.
        cut: makes rows from texts and from the remaining tokens of earlier texts; returns the rows and the remaining
            tokens.
    """

    def __init__(self, texts: TextStream, cut: CutRows) -> None:
        self.texts = texts
        self.cut = cut
        self._rest = np.zeros(0, dtype=np.int32)
        self._rows: list[np.ndarray] = []
        self._given = 0
        self._before = (texts.state_dict(), self._rest)

    @property
    def passes(self) -> int:
        """How many times the source was read to its end."""
        return self.texts.passes

    def __iter__(self) -> "RowStream":
        return self

    def __next__(self) -> np.ndarray:
        """The next row, `(tokens,)`."""
        while self._given == len(self._rows):
            self._read()
        row = self._rows[self._given]
        self._given += 1
        return row

    def _read(self) -> None:
        self._before = (self.texts.state_dict(), self._rest)
        self._rows, self._rest = self.cut(next(self.texts), self._rest)
        self._given = 0

    def state_dict(self) -> dict[str, Any]:
        """The position before the current rows, and the number of rows already returned."""
        texts, rest = self._before
        return {"texts": texts, "rest": torch.from_numpy(rest.copy()), "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the current rows again, and skips those already returned.

        Raises:
            ValueError: the texts have changed.
        """
        self.texts.load_state_dict(state["texts"])
        self._rest = state["rest"].cpu().numpy()
        self._rows, self._given = [], 0
        self._before = (self.texts.state_dict(), self._rest)
        if state["given"]:
            self._read()
            if state["given"] > len(self._rows):
                raise ValueError(
                    "The texts of the stream differ from those of the saved state: there are fewer rows at its "
                    "position; restore the data, or start a new run."
                )
            self._given = state["given"]


class Mixture:
    """Rows of several sources, whose fractions of the tokens follow their weights at any time.

    The next row comes from the source that is furthest below its fraction. This needs no random numbers, and the error
    is at most one row at any time.

    Args:
        sources: the streams of rows.
        weights: of the sources, above 0; only their proportions matter.

    Attributes:
        tokens: the number of tokens that each source has returned.

    Raises:
        ValueError: there is no source, or not one weight above 0 for each.
    """

    def __init__(self, sources: Sequence[RowStream], weights: Sequence[float]) -> None:
        if len(sources) != len(weights) or not sources or min(weights) <= 0:
            raise ValueError(
                f"weights={list(weights)!r} must have one weight above 0 for each of the {len(sources)} sources."
            )
        self.sources = list(sources)
        self.weights = list(weights)
        self.tokens = [0] * len(weights)

    @property
    def passes(self) -> int:
        """How many times all sources were read to their ends."""
        return min(source.passes for source in self.sources)

    def __iter__(self) -> "Mixture":
        return self

    def __next__(self) -> np.ndarray:
        """The next row, `(tokens,)`."""
        behind = min(range(len(self.weights)), key=lambda index: self.tokens[index] / self.weights[index])
        row = next(self.sources[behind])
        # Count an empty row as one token, so that a source of empty rows is not chosen forever.
        self.tokens[behind] += max(len(row), 1)
        return row

    def state_dict(self) -> dict[str, Any]:
        """The position of each source, and the number of tokens that it has returned."""
        return {"tokens": list(self.tokens), "sources": [source.state_dict() for source in self.sources]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes at the position of `state_dict`.

        Raises:
            ValueError: the state has another number of sources.
        """
        if len(state["sources"]) != len(self.sources):
            raise ValueError(
                f"The saved state has {len(state['sources'])} sources, but there are {len(self.sources)}; "
                "use the same sources."
            )
        self.tokens = list(state["tokens"])
        for source, one in zip(self.sources, state["sources"]):
            source.load_state_dict(one)


class ShuffleBuffer:
    """Rows in random order: each is sampled from a buffer, and the next row takes its place.

    The buffer is part of the state, so that a stop neither loses nor repeats rows.

    Args:
        rows: the rows in their original order.
        size: the number of rows in the buffer; 1 keeps the order.
        seed: of the random order.

    Raises:
        ValueError: the size is below 1.
    """

    def __init__(self, rows: Mixture, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError(f"size={size} of a shuffle buffer must be at least 1.")
        self.rows = rows
        self.size = size
        self._random = np.random.default_rng(seed)
        self._buffer: list[np.ndarray] = []

    @property
    def passes(self) -> int:
        """How many times all sources were read to their ends."""
        return self.rows.passes

    def __iter__(self) -> "ShuffleBuffer":
        return self

    def __next__(self) -> np.ndarray:
        """The next row, `(tokens,)`."""
        if len(self._buffer) < self.size:
            self._fill()
        index = int(self._random.integers(self.size))
        row = self._buffer[index]
        self._buffer[index] = next(self.rows)
        return row

    def _fill(self) -> None:
        logged = time.monotonic()
        while len(self._buffer) < self.size:
            self._buffer.append(next(self.rows))
            if time.monotonic() - logged > _SECONDS_BETWEEN_LOGS:
                logged = time.monotonic()
                logger.info("Filling the shuffle buffer: %s of %s rows", f"{len(self._buffer):,}", f"{self.size:,}")

    def state_dict(self) -> dict[str, Any]:
        """The buffer, the state of the random numbers, and the positions of the sources."""
        return {
            "buffer": pack_rows(self._buffer),
            # As text, because it contains integers of 128 bits.
            "random": json.dumps(self._random.bit_generator.state),
            "rows": self.rows.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes at the position of `state_dict`."""
        self._buffer = unpack_rows(state["buffer"])
        self._random.bit_generator.state = json.loads(state["random"])
        self.rows.load_state_dict(state["rows"])


def pack_rows(rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """Rows as two tensors: all ids `(tokens,)`, and the length of each row `(rows,)`."""
    ids = np.concatenate([np.zeros(0, dtype=np.int32), *rows])
    return {
        "ids": torch.from_numpy(ids.astype(np.int32)),
        "lengths": torch.tensor([len(row) for row in rows], dtype=torch.int64),
    }


def unpack_rows(packed: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """The rows of `pack_rows`. Each owns its memory, so that one row does not keep all of them in memory."""
    lengths = packed["lengths"].cpu().numpy()
    parts = np.split(packed["ids"].cpu().numpy(), np.cumsum(lengths)[:-1]) if len(lengths) else []
    return [part.copy() for part in parts]


def first_texts(sources: Sequence[OpenTexts], weights: Sequence[float], count: int) -> datasets.IterableDataset:
    """The first texts of several sources, `count` in total, in proportion to the weights.

    Each iteration of the result reads the sources again.
    """
    total = sum(weights)
    shares = [max(1, round(count * weight / total)) for weight in weights]

    def texts() -> Iterator[dict[str, str]]:
        for open_texts, share in zip(sources, shares):
            for row in open_texts()[0].take(share):
                yield {"text": row["text"]}

    return datasets.IterableDataset.from_generator(
        texts, features=datasets.Features({"text": datasets.Value("string")})
    )
