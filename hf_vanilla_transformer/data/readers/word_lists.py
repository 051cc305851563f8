"""Sentences that are lists of words, with other lists of the same length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import datasets

from .bad_rows import BadRow
from .checked_rows import named_columns
from .row_batch import RowBatch, Undecodable
from .sources import Source, open_rows

# The formats that can hold lists; CSV cannot.
SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".conllu")


def open_word_lists(
    source: Source, columns: Sequence[str], split: str, config_name: str | None
) -> tuple[str, Iterator[RowBatch]]:
    """The name of a source and its rows, in which the class names replace the numbers of a `ClassLabel`.

    Args:
        source: see `load_tagged`.
        columns: the names of the columns, that of the words first.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub.
    """
    name, batches = open_rows(source, named_columns(columns), split, config_name=config_name, suffixes=SUFFIXES)
    return name, map(_with_class_names, batches)


def list_problem(row: Sequence[Any]) -> BadRow | None:
    """The problem of the lists of a sentence, whatever the values of the labels mean; None if there is none.

    Args:
        row: the list of words, and the other lists.
    """
    if any(value is None for value in row):
        return BadRow.MISSING
    if any(not isinstance(value, list) for value in row):
        return BadRow.NOT_LISTS
    words = row[0]
    if not words:
        return BadRow.EMPTY
    if any(len(values) != len(words) for values in row[1:]):
        return BadRow.LENGTHS
    if any(isinstance(word, Undecodable) for word in words):
        return BadRow.NOT_UTF8
    if any(not isinstance(word, str) for word in words):
        return BadRow.NOT_TEXT
    return BadRow.EMPTY_WORD if any(not word.strip() for word in words) else None


def tag_problem(tags: Sequence[Any]) -> BadRow | None:
    """The problem of the tags of a sentence; None if each is a text that is not empty."""
    if any(tag is None or tag == "" for tag in tags):
        return BadRow.NO_LABEL
    return None if all(isinstance(tag, str) for tag in tags) else BadRow.LABEL_TYPE


def _with_class_names(batch: RowBatch) -> RowBatch:
    """The batch with class names in the place of a `ClassLabel`'s numbers; -1 means no label."""
    for side, feature in enumerate(batch.features):
        inner = getattr(feature, "feature", None)
        if isinstance(inner, datasets.ClassLabel):
            names = [*inner.names, None]
            batch.sides[side] = [
                None if value is None else [names[max(number, -1)] if number is not None else None for number in value]
                for value in batch.sides[side]
            ]
    return batch
