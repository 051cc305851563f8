"""Reads the text of a recipe, loads or trains its tokenizer, and encodes the text as rows of token ids in memory."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase

from ..conversion.checkpoint_files import CheckpointSource
from ..conversion.checkpoint_tokenizer import load_tokenizer
from ..data import RowReport, load_pairs, load_texts
from ..data.readers.splits import choose_split
from ..model_folders import model_folder
from ..tokenization import bpe_dropout, train_tokenizer
from .batches import Rows
from .recipes.mixture import mixture_sources
from .recipes.objective import OBJECTIVES, extra_tokens
from .recipes.text_sections import DataRecipe, check_path_is_set
from .recipes.training_recipe import Recipe
from .streaming import is_streamed, tokenizer_sample
from .text_rows import TextRows

logger = logging.getLogger(__name__)

TEMPLATES = {
    "translation": "seq2seq",
    "masked_lm": "encoder",
    "causal_lm": "decoder",
    "denoising": "seq2seq",
    "span": "seq2seq",
}

# Texts per call of the tokenizer: enough to keep its threads busy, few enough to need little memory.
_CHUNK = 10_000


class Ragged(Sequence):
    """Many short lists of token ids in one array, with a tenth of the memory of lists of Python integers.

    Args:
        ids: all ids, one row after the other.
        offsets: (rows + 1,) begin of each row, and the end of the last one.
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
    """The text of one run; `encode` tokenises it.

    Attributes:
        train, validation, test: data sets with columns `source` and `target`, or `text`; None for a missing split.
        reports: the readers' counts of bad rows, one per split.
        held_out: number of texts at the beginning of the training split that are the validation split.
    """

    train: Any
    validation: Any = None
    test: Any = None
    reports: list[RowReport] = field(default_factory=list)
    held_out: int = 0


def load_corpus(recipe: Recipe, splits: Sequence[str] = ("train", "validation", "test")) -> Corpus:
    """Reads the splits that a recipe names. The training text of a stream is not read here (`train` is None).

    Raises:
        FileNotFoundError: the data or its training split does not exist.
        ValueError: data.path is not set, data.hold_out holds out all texts, or no row is valid.
    """
    data = scored_data(recipe)
    check_path_is_set(data.path, recipe.task)
    corpus = Corpus(train=None)
    alone = len(splits) == 1
    for split in splits:
        if split == "train" and is_streamed(recipe):
            continue
        # A split requested alone may be a single file; like the training split, it must exist.
        required = split == "train" or (alone and not (split == "validation" and data.hold_out))
        loaded = _load_split(recipe, data, split, required=required)
        if loaded is not None:
            rows, report = loaded
            corpus.reports.append(report)
            setattr(corpus, split, rows)
    if data.hold_out and corpus.validation is None and "validation" in splits:
        corpus.validation = _held_out(recipe, data)
        corpus.held_out = data.hold_out
    if corpus.train is not None:
        end = len(corpus.train) if data.max_rows is None else min(corpus.held_out + data.max_rows, len(corpus.train))
        if corpus.held_out >= len(corpus.train):
            raise ValueError(f"data.hold_out={data.hold_out} leaves no training text; hold out fewer texts.")
        if corpus.held_out or end < len(corpus.train):
            corpus.train = corpus.train.select(range(corpus.held_out, end))
    most = recipe.evaluation.max_rows
    if recipe.task in OBJECTIVES.values() and corpus.validation is not None and most is not None:
        corpus.validation = corpus.validation.select(range(min(most, len(corpus.validation))))
    return corpus


def scored_data(recipe: Recipe) -> DataRecipe:
    """The data with the validation and test text: `data.path`, or the first source of a mixture."""
    data = recipe.data
    if data.path is not None or not data.mixture:
        return data
    first = mixture_sources(data)[0]
    return dataclasses.replace(
        data,
        path=first.path,
        config=first.config,
        train=list(first.split),
        text_column=first.text_column,
        sample_by=first.sample_by,
    )


def _held_out(recipe: Recipe, data: DataRecipe) -> datasets.Dataset:
    """The first texts of the training split."""
    if data.mixture and recipe.data.path is not None:
        raise ValueError(
            f"data.hold_out={data.hold_out} takes text from the first source of data.mixture; remove data.path."
        )
    source, name = choose_split(data.path, data.config, data.train, "train")
    texts, _ = load_texts(source, column=data.text_column, sample_by=data.sample_by, split=name,
                          config_name=data.config, streaming=True, on_bad_row=data.on_bad_row)  # fmt: skip
    rows = list(texts.take(data.hold_out))
    if not rows:
        raise ValueError(f"data.path={data.path!r} has no text to hold out (data.hold_out={data.hold_out}).")
    return datasets.Dataset.from_list(rows)


def get_tokenizer(recipe: Recipe, corpus: Corpus) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of the recipe, or trains it on the training text (of a stream, on its first texts).

    With `model.start_from`, that model's tokenizer is loaded. Missing special tokens of the objective are added.

    Raises:
        ValueError: tokenizer.vocab_size is too small for the special tokens.
    """
    choice = recipe.tokenizer
    extra = extra_tokens(recipe.task, recipe.objective)
    path = choice.path or recipe.model.start_from
    if path is not None:
        tokenizer = load_tokenizer(CheckpointSource(str(model_folder(path))))
    else:
        if is_streamed(recipe):
            rows = tokenizer_sample(recipe, corpus.held_out)
        else:
            rows = corpus.train
            if choice.max_rows is not None and len(rows) > choice.max_rows:
                rows = rows.select(range(choice.max_rows))
        logger.info("Training a %s tokenizer of %s entries", choice.kind, f"{choice.vocab_size:,}")
        if choice.vocab_size - len(extra) < 8:
            raise ValueError(
                f"tokenizer.vocab_size={choice.vocab_size} is too small for the {len(extra)} special tokens of task="
                f"{recipe.task!r}; raise it, or lower objective.sentinels."
            )
        tokenizer = train_tokenizer(
            rows,
            kind=choice.kind,
            vocab_size=choice.vocab_size - len(extra),
            template=TEMPLATES[recipe.task],
            lowercase=choice.lowercase,
            pretokenized=choice.pretokenized,
            columns=["source", "target"] if recipe.task == "translation" else ["text"],
        )
    if recipe.task == "denoising" and tokenizer.mask_token is None:
        tokenizer.add_special_tokens({"mask_token": extra[0]})
    elif recipe.task == "span" and (missing := [name for name in extra if name not in tokenizer.get_vocab()]):
        tokenizer.add_tokens([AddedToken(name, special=True) for name in missing], special_tokens=True)
    return tokenizer


def encode(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, rows: Any, *, training: bool) -> Rows:
    """Tokenises a split.

    Args:
        recipe: decides the task and ``data.max_length``.
        tokenizer: of the model.
        rows: data set with columns `source` and `target`, or `text`.
        training: leave out pairs longer than ``data.max_length``; the log reports their number.

    Raises:
        ValueError: no row is left.
    """
    limit = recipe.data.max_length
    numbers = None
    if recipe.task == "translation":
        columns = _encode_pairs(tokenizer, rows)
        if training:
            columns, numbers = _without_long(columns, limit)
    else:
        maker = TextRows(recipe, tokenizer)
        texts = Ragged.of(_pieces(rows, "text", maker.ids))
        columns = {"input_ids": _blocks(texts, limit) if maker.in_blocks else texts}
    encoded = Rows(columns, numbers)
    if len(encoded) == 0:
        raise ValueError(
            f"None of {len(rows)} rows has at most data.max_length={limit} tokens; raise it or split the rows."
        )
    return encoded


def encode_with_dropout(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, rows: Any, plain: Rows
) -> dict[str, Sequence[Sequence[int]]]:
    """Tokenises the training pairs again with BPE dropout, for one epoch.

    Batches are made by the lengths without dropout, so all processes agree on them although each samples its own
    segmentations. A pair that becomes longer than ``data.max_length`` is used without dropout.

    Args:
        rows: the training split.
        plain: the same rows tokenised without dropout, by `encode`.

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


def _load_split(recipe: Recipe, data: DataRecipe, split: str, *, required: bool) -> tuple[Any, RowReport] | None:
    """Reads a split under the first of the recipe's names for it that exists."""
    chosen = choose_split(data.path, data.config, getattr(data, split), split, required=required)
    if chosen is None:
        return None
    source, name = chosen
    options = {"split": name, "config_name": data.config, "streaming": data.streaming, "on_bad_row": data.on_bad_row}
    if recipe.task == "translation":
        rows, report = load_pairs(
            source, languages=(data.source, data.target), max_length_ratio=data.max_length_ratio, **options
        )
        most = data.max_rows if split == "train" else None
    else:
        rows, report = load_texts(source, column=data.text_column, sample_by=data.sample_by, **options)
        most = recipe.evaluation.max_rows if split == "validation" else None
    if data.streaming:
        rows = datasets.Dataset.from_list(list(rows if most is None else rows.take(most)))
    return rows, report


def _pieces(rows: Any, column: str, tokenise: Callable[[list[str]], list]) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), _CHUNK):
        yield from tokenise(list(rows[start : start + _CHUNK][column]))


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]


def _blocks(texts: Ragged, size: int) -> Ragged:
    """The concatenated texts, cut into blocks of `size` tokens; only the last may be shorter."""
    total = len(texts.ids)
    return Ragged(texts.ids, np.append(np.arange(0, total, size), total))


def _encode_pairs(tokenizer: PreTrainedTokenizerBase, rows: Any) -> dict[str, Ragged]:
    return {
        "input_ids": Ragged.of(_pieces(rows, "source", lambda texts: _ids(tokenizer, texts))),
        "labels": Ragged.of(_pieces(rows, "target", lambda texts: _ids(tokenizer, texts))),
    }


def _without_long(columns: dict[str, Ragged], limit: int) -> tuple[dict[str, Ragged], np.ndarray]:
    """The pairs of at most `limit` tokens per side, and their row numbers."""
    longest = np.maximum.reduce([column.lengths() for column in columns.values()])
    keep = np.flatnonzero(longest <= limit)
    if len(keep) < len(longest):
        logger.warning(
            "Left out %s of %s training pairs, which are longer than data.max_length=%d tokens.",
            f"{len(longest) - len(keep):,}", f"{len(longest):,}", limit,
        )  # fmt: skip
        columns = {name: column.take(keep) for name, column in columns.items()}
    return columns, keep
