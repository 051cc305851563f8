"""Labels as people write them: their values, class names and types."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import datasets

LabelKind = Literal["single", "multi", "regression"]

# What a label can be; a number, a boolean and a text are values.
_KINDS = ("value", "list", "mapping")

_WHOLE_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d{0,14})(?:\.\d*)?(?:[eE][-+]?\d{1,2})?", re.ASCII)


def plain_values(rows: datasets.Dataset, column: str) -> list[Any]:
    """The labels of a column as Python values; names in the place of a `ClassLabel`'s numbers.

    Raises:
        ValueError: the column does not exist.
    """
    if column not in rows.column_names:
        raise ValueError(f"There is no column {column!r}; the columns are {rows.column_names}.")
    values = rows.with_format(None)[column][:]
    names = declared_names(rows.features[column])
    if names is None:
        return values
    if isinstance(rows.features[column], datasets.ClassLabel):
        return [names[value] if value is not None and value >= 0 else None for value in values]
    return [None if value is None else [names[one] for one in value] for value in values]


def declared_names(feature: Any) -> list[str] | None:
    """The class names of a column of `ClassLabel`s, or of lists of them; None for another column."""
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if isinstance(inner, datasets.ClassLabel) else None


def check_type(values: Sequence[Any], kind: LabelKind, column: str, separator: str | None) -> None:
    """Checks that labels can be of a kind.

    Raises:
        ValueError: they cannot. The message describes the first reason, and the kind that they seem to be of.
    """
    kinds = Counter(_type_name(value) for value in values if value is not None)
    if not kinds:
        raise ValueError(f"No row has a label in the column {column!r}.")
    other = next((kind for kind in kinds if kind not in _KINDS), None)
    if other is not None:
        raise ValueError(
            f"The labels in the column {column!r} are of the type {other}; give texts, whole numbers or lists of them."
        )
    if kind == "regression":
        wrong = [value for value in values if as_number(value) is None]
        if len(wrong) == len(values):
            raise ValueError(
                f"The labels in the column {column!r} are not numbers, such as {wrong[0]!r}, but the task predicts a "
                "number; use a classification task, or name the column of the numbers."
            )
        if wrong:
            raise ValueError(
                f"{len(wrong):,} of {len(values):,} labels in the column {column!r} are not finite numbers, such as "
                f"{wrong[0]!r}; correct or remove these rows."
            )
        return
    if "mapping" in kinds:
        raise ValueError(f"The column {column!r} contains structures ({values[0]!r}), not labels; name another column.")
    if kind == "single":
        if "list" in kinds:
            raise ValueError(
                f"The labels in the column {column!r} are lists, such as {values[0]!r}: a row has several classes. Use "
                "the multi-label task, or give one class per row."
            )
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise ValueError(f"Labels in the column {column!r} are infinite numbers; correct or remove these rows.")
        fractions = [value for value in values if isinstance(value, float) and not value.is_integer()]
        if fractions:
            raise ValueError(
                f"The labels in the column {column!r} are numbers with fractions, such as {fractions[0]!r}; use the "
                "regression task, or give classes."
            )
        return
    if "list" not in kinds and separator is None:
        raise ValueError(
            f"The labels in the column {column!r} are single values, such as {values[0]!r}, but the task has several "
            "classes per row: give lists (JSON lines, Parquet), or texts with a separator, and set the separator."
        )
    lists = [value for value in values if isinstance(value, list)]
    flat = {one for value in lists for one in value}
    same_length = len({len(value) for value in lists}) == 1
    repeats = any(len(set(value)) < len(value) for value in lists)
    if lists and flat <= {0, 1} and same_length and (repeats or len(lists[0]) > 2):
        raise ValueError(
            f"The labels in the column {column!r} seem to be zeros and ones for {len(lists[0])} classes; give the "
            "names of the classes that each row has instead."
        )


def _type_name(value: Any) -> str:
    if isinstance(value, (str, bool, int, float)):
        return "value"
    return (
        "list" if isinstance(value, (list, tuple)) else "mapping" if isinstance(value, dict) else type(value).__name__
    )


def names_of(value: Any, kind: LabelKind, separator: str | None) -> list[str] | None:
    """The class names of a row; None if the value is of the wrong type."""
    if kind == "single":
        name = _name(value)
        return None if name is None else [name]
    if isinstance(value, str) and separator is not None:
        return [part.strip() for part in value.split(separator) if part.strip()]
    if not isinstance(value, list):
        return None
    names = [_name(one) for one in value]
    return None if None in names else names  # type: ignore[return-value]


def whole_number(name: str) -> str:
    """`1` for the class names `1.0`, `1.`, `+1` and `1e+00`, as programs write whole numbers; others as they are."""
    if not _WHOLE_NUMBER.fullmatch(name):
        return name
    number = float(name)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else name


def _name(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (bool, int)):
        return str(value)
    # A table with gaps turns whole numbers into floats.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None


def as_number(value: Any) -> float | None:
    """The label as a finite number; None if it is not one."""
    if isinstance(value, bool) or value is None or isinstance(value, (list, dict)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
