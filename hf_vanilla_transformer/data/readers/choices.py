"""Questions with choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets

from .bad_rows import BadRow, OnBadRow, check_on_bad_row
from .checked_rows import load_checked_rows, named_columns
from .row_report import RowReport
from .sources import Source, open_rows
from .text_problems import text_problem

_LETTERS = "ABCDEFGHIJ"


def load_choices(
    source: Source,
    *,
    question_column: str = "question",
    choices_columns: Sequence[str] = ("choices",),
    label_column: str = "label",
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: OnBadRow = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads questions (or beginnings of texts) with choices, one of which is correct.

    Args:
        source: as for `load_questions`; also CSV and TSV, if each choice has a column.
        question_column: a text.
        choices_columns: the columns of the choices; or one column with a list of them, or with a structure of two
            lists, `text` and `label`.
        label_column: the correct choice: its number from 0, a letter from A, the choice itself, or its `label`.
        split, config_name, on_bad_row: as for `load_questions`.

    Returns:
        The data set with the columns `question`, `choices` (list of texts) and `label` (number), and the report
        of its rows.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the columns do not exist, no row is valid, or a row is bad with `on_bad_row="error"`.
    """
    check_on_bad_row(on_bad_row)

    def row_of(values: Sequence[Any]) -> dict[str, Any] | BadRow:
        question, *given, label = values
        names = None
        choices = given[0] if len(given) == 1 else given
        if isinstance(choices, dict) and {"text", "label"} <= choices.keys():
            choices, names = choices["text"], choices["label"]
        if not isinstance(choices, list) or len(choices) < 2:
            return BadRow.CHOICES
        problem = next(filter(None, map(text_problem, (question, *choices))), None)
        if problem is not None:
            return problem
        if label is None or label == "":
            return BadRow.NO_LABEL
        number = _number_of(label, choices, names)
        return BadRow.LABEL_TYPE if number is None else {"question": question, "choices": choices, "label": number}

    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "choices": datasets.List(datasets.Value("string")),
            "label": datasets.Value("int64"),
        }
    )
    columns = (question_column, *choices_columns, label_column)
    name, batches = open_rows(source, named_columns(columns), split, config_name=config_name)
    return load_checked_rows(name, batches, row_of, features, on_bad_row)


def _number_of(label: Any, choices: list[str], names: list[Any] | None) -> int | None:
    """The number of the correct choice, from 0; None if the label names none of the choices."""
    if names is not None and label in names:
        return names.index(label)
    if label in choices and choices.count(label) == 1:
        return choices.index(label)
    if isinstance(label, str):
        label = label.strip()
        if label.isdecimal():
            label = int(label)
        elif len(label) == 1 and label.upper() in _LETTERS:
            label = _LETTERS.index(label.upper())
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    is_number = isinstance(label, int) and not isinstance(label, bool)
    return label if is_number and 0 <= label < len(choices) else None
