"""Texts longer than the model allows: truncated, split into windows whose predictions are averaged, or refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..progress import progress_bar

logger = logging.getLogger(__name__)

# Texts per call of the tokenizer: enough to use all of its threads.
_TEXTS_PER_CALL = 5_000

LongTexts = Literal["truncate", "window", "refuse"]


@dataclass
class EncodedTexts:
    """Token ids of texts, none of them too long.

    Attributes:
        columns: the outputs of the tokenizer (`input_ids`, `attention_mask`, ...), one list per row of the model.
        texts: `(rows,)`, the index of the text of which each row is (a part); without windows 0, 1, 2, ...
        long: the number of texts longer than `max_length`.
    """

    columns: dict[str, list[list[int]]]
    texts: np.ndarray
    long: int

    def __len__(self) -> int:
        return len(self.texts)


def encode_texts(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int,
    long: LongTexts = "truncate",
    stride: int | None = None,
    split: str = "data",
) -> EncodedTexts:
    """Tokenizes texts, or pairs of texts, into rows of at most `max_length` tokens.

    Args:
        tokenizer: a fast tokenizer.
        texts: the texts.
        pairs: the second text of each row.
        max_length: the maximum number of tokens of a row, with special tokens.
        long: ``truncate`` keeps the beginning; ``window`` splits a long text into several rows, each with its own
            special tokens, whose predictions `vote` averages (of a pair, only the longer text is split); ``refuse``
            raises.
        stride: the number of tokens that adjacent windows share; a quarter of `max_length` by default.
        split: the name of the texts in errors.

    Raises:
        ValueError: a text is too long with ``refuse``, there is no text, or an argument is illegal.
    """
    if long not in ("truncate", "window", "refuse"):
        raise ValueError(f"long must be 'truncate', 'window' or 'refuse', but is {long!r}.")
    special = tokenizer.num_special_tokens_to_add(pair=pairs is not None)
    if max_length <= special:
        raise ValueError(f"max_length={max_length} leaves no room beside {special} special tokens; raise it.")
    stride = max_length // 4 if stride is None else stride
    if long == "window" and not 0 <= stride < max_length - special:
        raise ValueError(
            f"stride={stride} must be at least 0 and below max_length={max_length} less {special} special tokens."
        )
    columns: dict[str, list[list[int]]] = {}
    with progress_bar(total=len(texts), description=f"tokenizing {split}", unit="text") as bar:
        for begin in range(0, len(texts), _TEXTS_PER_CALL):
            part = slice(begin, begin + _TEXTS_PER_CALL)
            encoded = tokenizer(list(texts[part]), None if pairs is None else list(pairs[part]), verbose=False)
            for name, values in encoded.items():
                columns.setdefault(name, []).extend(values)
            bar.update(len(encoded["input_ids"]))
    if not columns:
        raise ValueError(f"There is no text in {split}: give at least one.")
    lengths = np.array([len(ids) for ids in columns["input_ids"]], dtype=np.int64)
    too_long = np.flatnonzero(lengths > max_length)
    if len(too_long) and long == "refuse":
        locations = ", ".join(f"{split}:{index} ({lengths[index]:,} tokens)" for index in too_long[:3])
        raise ValueError(
            f"{len(too_long):,} of {len(lengths):,} texts are longer than max_length={max_length} tokens: "
            f"{locations}{', ...' if len(too_long) > 3 else ''}. Shorten them, allow more tokens, or choose "
            "truncate or window."
        )
    replaced = {}
    no_room = 0
    for index in too_long.tolist():
        pair = pairs[index] if pairs is not None else None
        parts = _windows(tokenizer, texts[index], pair, max_length, stride) if long == "window" else None
        no_room += long == "window" and parts is None
        replaced[index] = parts or [_truncate(tokenizer, texts[index], pair, max_length)]
    if no_room:
        logger.warning(
            "In %s of %s pairs of %s both texts have %s tokens or more, so no window has room for both; they are "
            "truncated.", f"{no_room:,}", f"{len(lengths):,}", split, f"{max_length:,}",
        )  # fmt: skip
    numbers = [index for index in range(len(lengths)) for _ in replaced.get(index, [None])]
    result = {
        name: [
            row
            for index, value in enumerate(values)
            for row in ([part[name] for part in replaced[index]] if index in replaced else [value])
        ]
        for name, values in columns.items()
    }
    return EncodedTexts(result, np.array(numbers, dtype=np.int64), len(too_long))


def vote(scores: np.ndarray, texts: np.ndarray, count: int) -> np.ndarray:
    """The mean over the windows of each text.

    Args:
        scores: `(windows, ...)`, probabilities or predicted numbers.
        texts: `(windows,)`, the index of the text of each window.
        count: the number of texts; each has at least one window.

    Returns:
        `(count, ...)`

    Raises:
        ValueError: a text has no window.
    """
    sums = np.zeros((count, *scores.shape[1:]), dtype=np.float64)
    np.add.at(sums, texts, scores)
    windows = np.bincount(texts, minlength=count)
    if (windows == 0).any():
        raise ValueError(f"text {int(np.argmin(windows))} has no window; each of {count} texts needs at least one.")
    return sums / windows.reshape(-1, *[1] * (scores.ndim - 1))


def _truncate(tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None, max_length: int) -> dict[str, list[int]]:
    cut = tokenizer(text, pair, truncation="longest_first", max_length=max_length, verbose=False)
    return {name: list(values) for name, values in cut.items()}


def _windows(
    tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None, max_length: int, stride: int
) -> list[dict[str, list[int]]] | None:
    """All windows of a text, or of the longer text of a pair; None if the shorter one leaves no room for a window."""
    truncation = "only_first"
    if pair is not None:
        first, second = (len(tokenizer(one, add_special_tokens=False, verbose=False).input_ids) for one in (text, pair))
        truncation = "only_first" if first >= second else "only_second"
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True) - min(first, second)
        if room < 1:
            return None
        stride = min(stride, room - 1)
    made = tokenizer(
        text,
        pair,
        truncation=truncation,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        verbose=False,
    )
    names = [name for name in made if name != "overflow_to_sample_mapping"]
    return [{name: list(made[name][row]) for name in names} for row in range(len(made["input_ids"]))]
