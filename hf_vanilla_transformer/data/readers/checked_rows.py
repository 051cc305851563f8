"""Data sets of rows that are checked, and perhaps converted, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import datasets

from .bad_rows import BadRow, OnBadRow
from .columns import Columns
from .row_batch import RowBatch
from .row_report import RowReport


def named_columns(columns: Sequence[str]) -> Columns:
    """Columns that must all exist under these names.

    Raises:
        ValueError: two of them are the same.
    """
    described = ", ".join(map(repr, columns))
    if len(set(columns)) < len(columns):
        raise ValueError(f"The columns {described} must differ.")
    remedy = "the arguments that end in _column (the fields of the section data in a recipe)"
    return Columns((tuple((name,) for name in columns),), described, named=True, remedy=remedy)


def load_checked_rows(
    name: str,
    batches: Iterable[RowBatch],
    row_of: Callable[[Sequence[Any]], dict[str, Any] | BadRow],
    features: datasets.Features,
    on_bad_row: OnBadRow,
) -> tuple[datasets.Dataset, RowReport]:
    """The data set of the rows that are valid.

    Args:
        name: of the source, for the report.
        batches: the rows of the source.
        row_of: makes a row of the data set from the values of one row of the source, or says why it is bad.
        features: the columns of the data set.
        on_bad_row: skip and count bad rows, or raise an error at the first one.

    Raises:
        ValueError: no row is valid, or a row is bad with ``error``.
    """
    report, rows = RowReport(name), []
    for batch in batches:
        made = [row_of(values) for values in zip(*batch.sides)]
        problems = {index: row for index, row in enumerate(made) if isinstance(row, BadRow)}
        rows += [made[index] for index in report.good_rows(batch, problems, on_bad_row)]
    report.close()
    return datasets.Dataset.from_list(rows, features=features), report
