"""Consecutive rows of one source, as every reader yields them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets

from .bad_rows import BadRow
from .columns import Columns, Path, dotted, value_at

ROWS_PER_BATCH = 10_000


@dataclass
class RowBatch:
    """Consecutive rows of one source, column by column.

    Attributes:
        origin: the file or data set that the rows come from.
        numbers: the number of each row in it: the number of its line, from 1, or its index, from 0, in a table.
        sides: one list of values per column; a value is None where it is missing.
        problems: rows that could not be read, by their index in this batch.
        features: for each side the type that its column has in the `datasets` library, or None; empty if unknown.
        columns: for each side the name of its column; empty if the columns have no names.
    """

    origin: str
    numbers: Sequence[int]
    sides: list[list[Any]]
    problems: dict[int, BadRow] = field(default_factory=dict)
    features: tuple[Any, ...] = ()
    columns: tuple[str, ...] = ()


class Undecodable(str):
    """Stands for a text that is not UTF-8."""


def features_at(features: datasets.Features, paths: Sequence[Path]) -> tuple[Any, ...]:
    """The type of the column at each path; None for a field inside of a column."""
    return tuple(features.get(path[0]) if len(path) == 1 else None for path in paths)


def field_names(feature: Any) -> dict[str, None]:
    """The names of the fields of a column of structures, such as `translation`; empty for other columns."""
    if isinstance(feature, datasets.Translation):
        return dict.fromkeys(feature.languages)
    return dict.fromkeys(feature) if isinstance(feature, dict) else {}


def dataset_batches(dataset: datasets.Dataset, wanted: Columns, origin: str) -> Iterator[RowBatch]:
    """The rows of a data set, with the wanted columns as sides."""
    features = dataset.features
    paths = wanted.choose({name: field_names(feature) for name, feature in features.items()}, origin)
    dataset = dataset.with_format(None).select_columns(sorted({path[0] for path in paths}))
    for begin in range(0, len(dataset), ROWS_PER_BATCH):
        columns = dataset[begin : begin + ROWS_PER_BATCH]
        sides = [[value_at(value, path[1:]) for value in columns[path[0]]] for path in paths]
        numbers = range(begin, begin + len(sides[0]))
        yield RowBatch(origin, numbers, sides, features=features_at(features, paths), columns=dotted(paths))
