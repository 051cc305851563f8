"""Rows of token ids out of text of any size, that can stop anywhere and go on exactly there.

`TextStream` → `RowStream` → `Mixture` → `ShuffleBuffer` are iterators that never end. `state_dict` of the last says
where all of them are, as tensors and plain values, and `load_state_dict` takes them back there.
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

# Texts that are tokenised at once: enough to keep the tokenizer's threads busy, few enough to begin soon.
_TEXTS_AT_ONCE = 500
_SECONDS_BETWEEN_NEWS = 10.0

OpenTexts = Callable[[], tuple[datasets.IterableDataset, RowReport]]
CutRows = Callable[[list[str], np.ndarray], tuple[list[np.ndarray], np.ndarray]]


class Stream(Protocol):
    """What the iterators here have in common."""

    def __next__(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class TextStream:
    """The texts of one source, from beginning to end, over and over, some at a time.

    Args:
        open_texts: reads the source from its beginning: a stream with the column `text`, and the report of its bad
            rows, as `load_texts(..., streaming=True)` returns them.

    Attributes:
        passes: how often the source was read to its end.
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
        """Begins to read, at the beginning or where a state says."""
        # A data set begins at the state it was given every time it is iterated, so only one without can be used again.
        if self._dataset is None or self._position is not None or not self._from_beginning:
            self._dataset, self._report = self.open_texts()
        self._from_beginning = self._position is None
        if self._position is not None:
            logger.info("Reading on in %s, past what was read before", self._report.origin)
            self._dataset.load_state_dict(self._position)
        return iter(self._dataset)

    def _finish_pass(self) -> None:
        report = self._report
        if not self._any:
            raise ValueError(f"There is no valid text in the stream.\n{report}")
        if self.passes == 0 and report is not None and report.skipped:
            logger.warning("%s", report)
        self.passes += 1
        self._rows = self._position = None

    def state_dict(self) -> dict[str, Any]:
        """Where the source is read."""
        return {"passes": self.passes, "position": json.dumps(self._position)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Reads on from where `state_dict` was taken; what stands before it is read over, not tokenised again."""
        self.passes = state["passes"]
        self._position = json.loads(state["position"])
        self._rows = None
        # A place behind the last text has texts before it.
        self._any = self.passes > 0 or self._position is not None


class RowStream:
    """The texts of one source as rows of token ids.

    Args:
        texts: where the texts come from.
        cut: makes rows of texts and of what the texts before them left over, and says what these leave over.
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
        """How often the source was read to its end."""
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
        """Where the texts stood before the rows at hand, and how many of these are given out."""
        texts, rest = self._before
        return {"texts": texts, "rest": torch.from_numpy(rest.copy()), "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the rows at hand again, and passes over those already given out."""
        self.texts.load_state_dict(state["texts"])
        self._rest = state["rest"].cpu().numpy()
        self._rows, self._given = [], 0
        self._before = (self.texts.state_dict(), self._rest)
        if state["given"]:
            self._read()
            if state["given"] > len(self._rows):
                raise ValueError(
                    "The texts of the stream are not those of the saved state: there are fewer rows where it stopped. "
                    "Give back the data as it was, or start a new run."
                )
            self._given = state["given"]


class Mixture:
    """Rows of several sources, whose shares of the tokens follow their weights at any time.

    The next row is from the source that is furthest behind its share, which needs no random numbers and is within one
    row of the weights from the first row on.

    Args:
        sources: the streams of rows.
        weights: of the sources, above 0; only their proportions matter.

    Attributes:
        tokens: how many tokens each source has given.
    """

    def __init__(self, sources: Sequence[RowStream], weights: Sequence[float]) -> None:
        if len(sources) != len(weights) or not sources or min(weights) <= 0:
            raise ValueError(f"A mixture needs a weight above 0 for each source, but has weights={list(weights)!r}.")
        self.sources = list(sources)
        self.weights = list(weights)
        self.tokens = [0] * len(weights)

    @property
    def passes(self) -> int:
        """How often every source was read to its end."""
        return min(source.passes for source in self.sources)

    def __iter__(self) -> "Mixture":
        return self

    def __next__(self) -> np.ndarray:
        """The next row, `(tokens,)`."""
        behind = min(range(len(self.weights)), key=lambda index: self.tokens[index] / self.weights[index])
        row = next(self.sources[behind])
        # A row without tokens would be asked for again and again.
        self.tokens[behind] += max(len(row), 1)
        return row

    def state_dict(self) -> dict[str, Any]:
        """Where every source is, and what it has given."""
        return {"tokens": list(self.tokens), "sources": [source.state_dict() for source in self.sources]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from where `state_dict` was taken.

        Raises:
            ValueError: the state has another number of sources.
        """
        if len(state["sources"]) != len(self.sources):
            raise ValueError(f"The saved state has {len(state['sources'])} sources, but there are {len(self.sources)}.")
        self.tokens = list(state["tokens"])
        for source, one in zip(self.sources, state["sources"]):
            source.load_state_dict(one)


class ShuffleBuffer:
    """Rows in random order: the next one is drawn from a buffer, which is then filled up.

    The buffer is part of the state, so that no row is lost or seen twice by stopping.

    Args:
        rows: the rows in their order.
        size: rows in the buffer; 1 leaves the order as it is.
        seed: of the draws.
    """

    def __init__(self, rows: Mixture, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError(f"The size of a shuffle buffer must be at least 1, but is {size}.")
        self.rows = rows
        self.size = size
        self._random = np.random.default_rng(seed)
        self._buffer: list[np.ndarray] = []

    @property
    def passes(self) -> int:
        """How often every source was read to its end."""
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
        told = time.monotonic()
        while len(self._buffer) < self.size:
            self._buffer.append(next(self.rows))
            if time.monotonic() - told > _SECONDS_BETWEEN_NEWS:
                told = time.monotonic()
                logger.info("Filling the shuffle buffer: %s of %s rows", f"{len(self._buffer):,}", f"{self.size:,}")

    def state_dict(self) -> dict[str, Any]:
        """The buffer, the random numbers, and where the sources are."""
        return {
            "buffer": pack_rows(self._buffer),
            # Numbers of 128 bits, which only text keeps.
            "random": json.dumps(self._random.bit_generator.state),
            "rows": self.rows.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from where `state_dict` was taken."""
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
    """The rows that `pack_rows` packed; each owns its memory, so that one of them does not hold all."""
    lengths = packed["lengths"].cpu().numpy()
    parts = np.split(packed["ids"].cpu().numpy(), np.cumsum(lengths)[:-1]) if len(lengths) else []
    return [part.copy() for part in parts]


def first_texts(sources: Sequence[OpenTexts], weights: Sequence[float], count: int) -> datasets.IterableDataset:
    """The first texts of several sources, `count` in all, shared out by weight; read anew at each iteration."""
    total = sum(weights)
    shares = [max(1, round(count * weight / total)) for weight in weights]

    def texts() -> Iterator[dict[str, str]]:
        for open_texts, share in zip(sources, shares):
            for row in open_texts()[0].take(share):
                yield {"text": row["text"]}

    return datasets.IterableDataset.from_generator(
        texts, features=datasets.Features({"text": datasets.Value("string")})
    )
