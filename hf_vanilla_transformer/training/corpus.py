"""From the recipe's text to rows of token ids, for each of the three tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..data import RowReport, load_pairs, load_texts
from ..tokenization import bpe_dropout, train_tokenizer
from .batches import Rows
from .recipe import Recipe

logger = logging.getLogger(__name__)

TEMPLATES = {"translation": "seq2seq", "masked_lm": "encoder", "causal_lm": "decoder"}

# Texts that are tokenised at once: enough to keep the tokenizer's threads busy, few enough to stay small in memory.
_CHUNK = 10_000


class Ragged(Sequence):
    """Many short lists of token ids in one array: a tenth of the memory of lists of Python numbers.

    Args:
        ids: all ids, one row after the other.
        offsets: (rows + 1,) where each row begins, and the end.
    """

    def __init__(self, ids: np.ndarray, offsets: np.ndarray) -> None:
        self.ids = ids
        self.offsets = offsets

    @classmethod
    def of(cls, rows: Iterator[Sequence[int]]) -> Ragged:
        """Packs rows of ids."""
        parts, lengths = [], [0]
        for row in rows:
            parts.append(np.asarray(row, dtype=np.int32))
            lengths.append(len(row))
        ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        return cls(ids, np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def lengths(self) -> np.ndarray:
        """(rows,) tokens of each row."""
        return np.diff(self.offsets)

    def take(self, indices: np.ndarray) -> Ragged:
        """The rows with the given numbers."""
        return Ragged.of(self[index] for index in indices)


@dataclass
class Corpus:
    """The text of one run, as read; tokenising is left to `encode`.

    Attributes:
        train, validation, test: data sets with columns `source` and `target`, or `text`; None where there is no split.
        reports: the readers' account of bad rows, one a split.
    """

    train: Any
    validation: Any = None
    test: Any = None
    reports: list[RowReport] = field(default_factory=list)


def load_corpus(recipe: Recipe, splits: Sequence[str] = ("train", "validation", "test")) -> Corpus:
    """Reads the splits a recipe names.

    Raises:
        FileNotFoundError: the data or its training split is not there.
        ValueError: no path is given, or no row is valid.
    """
    data = recipe.data
    if data.path is None:
        raise ValueError(
            "data.path is not set: give a folder, a file or a Hub name, such as --data.path bentrevett/multi30k"
        )
    corpus = Corpus(train=None)
    for split in splits:
        # A split that is asked for alone may be a single file, and must be there, like the training split.
        loaded = _load_split(recipe, split, required=split == "train" or len(splits) == 1)
        if loaded is not None:
            rows, report = loaded
            corpus.reports.append(report)
            if split == "train" and data.max_rows is not None and len(rows) > data.max_rows:
                rows = rows.select(range(data.max_rows))
            setattr(corpus, split, rows)
    return corpus


def get_tokenizer(recipe: Recipe, corpus: Corpus) -> PreTrainedTokenizerBase:
    """The tokenizer of the recipe: loaded, or trained on the training split."""
    choice = recipe.tokenizer
    if choice.path is not None:
        return AutoTokenizer.from_pretrained(choice.path)
    rows = corpus.train
    if choice.max_rows is not None and len(rows) > choice.max_rows:
        rows = rows.select(range(choice.max_rows))
    columns = ["source", "target"] if recipe.task == "translation" else ["text"]
    logger.info("Training a %s tokenizer of %s entries", choice.kind, f"{choice.vocab_size:,}")
    return train_tokenizer(
        rows,
        kind=choice.kind,
        vocab_size=choice.vocab_size,
        template=TEMPLATES[recipe.task],
        lowercase=choice.lowercase,
        pretokenized=choice.pretokenized,
        columns=columns,
    )


def encode(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, rows: Any, *, training: bool) -> Rows:
    """Tokenises a split.

    Args:
        training: leave out pairs longer than ``data.max_length`` (counted in the log).

    Raises:
        ValueError: nothing is left.
    """
    limit = recipe.data.max_length
    numbers = None
    if recipe.task == "translation":
        columns = _encode_pairs(tokenizer, rows)
        if training:
            columns, numbers = _without_long(columns, limit)
    elif recipe.task == "masked_lm":
        columns = {"input_ids": Ragged.of(_pieces(rows, "text", lambda texts: _cut(tokenizer, texts, limit)))}
    else:
        texts = Ragged.of(_pieces(rows, "text", lambda texts: _ids(tokenizer, texts)))
        columns = {"input_ids": _blocks(texts, limit)}
    encoded = Rows(columns, numbers)
    if len(encoded) == 0:
        raise ValueError(f"No row is left of {len(rows)}: none has at most data.max_length={limit} tokens.")
    return encoded


def encode_with_dropout(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, rows: Any, plain: Rows
) -> dict[str, Sequence[Sequence[int]]]:
    """Tokenises the training pairs once more with BPE dropout, for one epoch.

    Which rows meet in a batch follows from the lengths without dropout, so that all processes agree on it although each
    draws its own segmentations. A pair that gets longer than ``data.max_length`` is taken without dropout.

    Args:
        rows: the training split.
        plain: the same tokenised without dropout, by `encode`.

    Returns:
        New columns for `plain`.
    """
    with bpe_dropout(tokenizer, recipe.tokenizer.dropout):
        columns = _encode_pairs(tokenizer, rows.select(plain.numbers))
    fits = np.maximum.reduce([column.lengths() for column in columns.values()]) <= recipe.data.max_length
    return {
        name: [column[index] if fits[index] else plain.columns[name][index] for index in range(len(fits))]
        for name, column in columns.items()
    }


def _load_split(recipe: Recipe, split: str, *, required: bool) -> tuple[Any, RowReport] | None:
    """Reads the first that exists of the names that the recipe has for a split."""
    data = recipe.data
    names: list[str] = getattr(data, split)
    available = _available_splits(recipe)
    if available is None:  # a single file: it is the training text
        if not required:
            return None
        name = names[0]
    else:
        chosen = [name for name in names if name in available]
        if not chosen:
            if required:
                raise FileNotFoundError(
                    f"data.path={data.path!r} has no split {' or '.join(map(repr, names))}; it has "
                    f"{', '.join(map(repr, available))}. Name it with data.{split}."
                )
            return None
        name = chosen[0]
    options = {"split": name, "config_name": data.config, "streaming": data.streaming, "on_bad_row": data.on_bad_row}
    if recipe.task == "translation":
        rows, report = load_pairs(
            data.path, languages=(data.source, data.target), max_length_ratio=data.max_length_ratio, **options
        )
    else:
        rows, report = load_texts(data.path, column=data.text_column, **options)
    if data.streaming:
        rows = datasets.Dataset.from_list(
            list(rows.take(data.max_rows) if split == "train" and data.max_rows else rows)
        )
    return rows, report


def _available_splits(recipe: Recipe) -> list[str] | None:
    """The splits of a folder (the stems of its files) or of a Hub data set; None for a single file."""
    data = recipe.data
    path = Path(data.path)
    if path.is_file():
        return None
    if path.is_dir():
        return sorted({file.name.split(".")[0] for file in path.iterdir() if file.is_file()})
    if path.is_absolute() or str(data.path).count("/") > 1 or str(data.path).startswith("."):
        raise FileNotFoundError(
            f"There is no file or folder data.path={data.path!r}; give an existing one or a Hub name."
        )
    try:
        return datasets.get_dataset_split_names(data.path, data.config)
    except (FileNotFoundError, ConnectionError, OSError, datasets.exceptions.DatasetNotFoundError) as error:
        raise FileNotFoundError(
            f"There is no file or folder data.path={data.path!r}, and the Hub gave no data set of this name ({error})."
        ) from error


def _pieces(rows: Any, column: str, tokenise: Callable[[list[str]], list]) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), _CHUNK):
        yield from tokenise(list(rows[start : start + _CHUNK][column]))


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]


def _cut(tokenizer: PreTrainedTokenizerBase, texts: list[str], limit: int) -> list[list[int]]:
    """Texts in pieces of at most `limit` tokens, each with its own special tokens."""
    return tokenizer(
        texts, truncation=True, max_length=limit, return_overflowing_tokens=True, return_attention_mask=False
    )["input_ids"]


def _blocks(texts: Ragged, size: int) -> Ragged:
    """All texts one after the other, cut into blocks of `size`; only the last may be shorter."""
    total = len(texts.ids)
    return Ragged(texts.ids, np.append(np.arange(0, total, size), total))


def _encode_pairs(tokenizer: PreTrainedTokenizerBase, rows: Any) -> dict[str, Ragged]:
    return {
        "input_ids": Ragged.of(_pieces(rows, "source", lambda texts: _ids(tokenizer, texts))),
        "labels": Ragged.of(_pieces(rows, "target", lambda texts: _ids(tokenizer, texts))),
    }


def _without_long(columns: dict[str, Ragged], limit: int) -> tuple[dict[str, Ragged], np.ndarray]:
    """The pairs of at most `limit` tokens a side, and their numbers."""
    longest = np.maximum.reduce([column.lengths() for column in columns.values()])
    keep = np.flatnonzero(longest <= limit)
    if len(keep) < len(longest):
        logger.warning(
            "%s of %s training pairs are longer than data.max_length=%d tokens and are left out.",
            f"{len(longest) - len(keep):,}", f"{len(longest):,}", limit,
        )  # fmt: skip
        columns = {name: column.take(keep) for name, column in columns.items()}
    return columns, keep
