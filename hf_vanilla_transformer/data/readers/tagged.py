"""Sentences with one tag per word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets

from .bad_rows import BadRow, OnBadRow, check_on_bad_row
from .checked_rows import load_checked_rows
from .row_report import RowReport
from .sources import Source
from .word_lists import list_problem, open_word_lists, tag_problem


def load_tagged(
    source: Source,
    *,
    tokens_column: str = "tokens",
    tags_column: str = "tags",
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: OnBadRow = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads sentences with one tag per word.

    Args:
        source: a file (`.parquet`, JSON lines, `.conllu`, the last two also compressed), a list of such files, a folder
            whose files are named after the split, a name on the Hub or a data set.
        tokens_column: the words, a list of texts.
        tags_column: the tags, a list of as many texts, or of numbers of a `ClassLabel`.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub.
        on_bad_row: skip and count bad sentences, or raise an error at the first one.

    Returns:
        The data set with the columns `tokens` and `tags`, lists of texts, and the report of its rows.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the columns do not exist, no row is valid, or a row is bad with `on_bad_row="error"`.
    """
    check_on_bad_row(on_bad_row)

    def row_of(values: Sequence[Any]) -> dict[str, Any] | BadRow:
        words, tags = values
        return list_problem(values) or tag_problem(tags) or {"tokens": words, "tags": tags}

    texts = datasets.List(datasets.Value("string"))
    name, batches = open_word_lists(source, (tokens_column, tags_column), split, config_name)
    return load_checked_rows(name, batches, row_of, datasets.Features({"tokens": texts, "tags": texts}), on_bad_row)
