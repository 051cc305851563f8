"""Sentences with their dependency trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets

from .bad_rows import BadRow, OnBadRow, check_on_bad_row
from .checked_rows import load_checked_rows
from .row_report import RowReport
from .sources import Source
from .word_lists import list_problem, open_word_lists, tag_problem


def load_trees(
    source: Source,
    *,
    tokens_column: str = "tokens",
    heads_column: str = "head",
    relations_column: str = "deprel",
    single_root: bool = True,
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: OnBadRow = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads sentences with their dependency trees.

    Args:
        source: as for `load_tagged`.
        tokens_column: the words, a list of texts.
        heads_column: the number of each word's head, from 1; 0 for the root.
        relations_column: the relation of each word to its head.
        single_root: whether a tree may have only one word at the root, as in Universal Dependencies.
        split, config_name, on_bad_row: as for `load_tagged`.

    Returns:
        The data set with the columns `tokens`, `heads` and `relations`, and the report of its rows.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the columns do not exist, no row is valid, or a row is bad with `on_bad_row="error"`.
    """
    check_on_bad_row(on_bad_row)

    def row_of(values: Sequence[Any]) -> dict[str, Any] | BadRow:
        words, heads, relations = values
        problem = list_problem(values)
        if problem is None and any(isinstance(head, bool) or not isinstance(head, int) for head in heads):
            problem = BadRow.NO_HEAD
        problem = problem or tag_problem(relations) or tree_problem(heads, single_root)
        return problem or {"tokens": words, "heads": heads, "relations": relations}

    texts, numbers = datasets.List(datasets.Value("string")), datasets.List(datasets.Value("int64"))
    features = datasets.Features({"tokens": texts, "heads": numbers, "relations": texts})
    name, batches = open_word_lists(source, (tokens_column, heads_column, relations_column), split, config_name)
    return load_checked_rows(name, batches, row_of, features, on_bad_row)


def tree_problem(heads: Sequence[int], single_root: bool = True) -> BadRow | None:
    """The reason why heads are not a tree; None if they are one.

    Args:
        heads: of the words 1, 2, ...; numbers from 0 (the root) to the number of words.
        single_root: whether exactly one word may have the root as its head.
    """
    words = len(heads)
    if any(not 0 <= head <= words for head in heads):
        return BadRow.HEAD_RANGE
    reaches = [True] + [False] * words  # whether a word is known to reach the root
    for word in range(1, words + 1):
        path = []
        while not reaches[word]:
            if word in path:
                return BadRow.CYCLE
            path.append(word)
            word = heads[word - 1]
        for passed in path:
            reaches[passed] = True
    return BadRow.ROOTS if single_root and heads.count(0) > 1 else None
