"""Problems of texts: missing, empty, undecodable, or of very different lengths in a pair."""

from typing import Any

import numpy as np

from .bad_rows import BadRow
from .row_batch import Undecodable


def text_problems(sides: list[list[Any]], max_length_ratio: float | None = None) -> dict[int, BadRow]:
    """The problems of rows of texts, by the index of the row.

    Args:
        sides: one or two columns of values.
        max_length_ratio: a pair is bad if one side has more than this many times the characters of the other; None
            accepts all pairs.
    """
    problems: dict[int, BadRow] = {}
    for values in sides:
        for index, value in enumerate(values):
            if isinstance(value, str) and value and not value.isspace() and "\0" not in value:
                continue
            problem = text_problem(value)
            if problem in (BadRow.MISSING, BadRow.NOT_UTF8, BadRow.NUL):
                problems[index] = problem
            elif problem is not None:
                problems.setdefault(index, problem)
        for index in _not_encodable(values):
            problems.setdefault(index, BadRow.NOT_UTF8)
    if len(sides) == 2 and max_length_ratio is not None:
        sound = [index not in problems for index in range(len(sides[0]))]
        lengths = np.array([[len(value) if good else 1 for value, good in zip(side, sound)] for side in sides])
        absurd = lengths.max(axis=0) > max_length_ratio * lengths.min(axis=0)
        problems.update(dict.fromkeys(np.flatnonzero(absurd).tolist(), BadRow.LENGTH_RATIO))
    return problems


def text_problem(value: Any) -> BadRow | None:
    """The problem of one text; None if it is a text that is not empty."""
    if value is None:
        return BadRow.MISSING
    if isinstance(value, Undecodable):
        return BadRow.NOT_UTF8
    if not isinstance(value, str):
        return BadRow.NOT_TEXT
    if "\0" in value:
        return BadRow.NUL
    return None if value.strip() else BadRow.EMPTY


def _not_encodable(values: list[Any]) -> list[int]:
    """The indices of strings that cannot be encoded: JSON can contain half a surrogate pair."""
    texts = [value if isinstance(value, str) else "" for value in values]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return [
            index for index, text in enumerate(texts) if any("\ud800" <= character <= "\udfff" for character in text)
        ]
    return []
