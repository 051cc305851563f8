"""Whether the first line of a table without known column names is a header or data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .columns import Columns

# Rows that are sampled to tell a header from data, and to find the delimiter of a CSV file.
SAMPLE = 200

# A column with more different values than this in the sample is unlikely to hold labels.
_FEW = 20
# One to three words without punctuation between them, such as `comment`, `Review text` and `label_id`.
_NAME = re.compile(r"[^\W\d][\w-]+(?:[ .][^\W\d][\w-]*){0,2}")
# How headers of parallel corpora name their columns, beside languages' own codes.
_SIDES = {
    "source", "target", "src", "tgt", "trg", "input", "output", "arabic", "chinese", "czech", "danish", "deutsch",
    "dutch", "english", "finnish", "français", "french", "german", "greek", "hebrew", "hindi", "hungarian",
    "indonesian", "italian", "japanese", "korean", "norwegian", "persian", "polish", "portuguese", "romanian",
    "russian", "spanish", "swedish", "thai", "turkish", "ukrainian", "vietnamese", "영어", "한국어", "독일어",
    "원문", "번역문",
}  # fmt: skip
_LANGUAGE_CODE = re.compile(r"[a-z]{2}(?:[-_][A-Za-z]{2,4})?|[a-z]{3}_[A-Z][a-z]{3}")


def seems_header(first: Sequence[str], others: Sequence[Sequence[str]], sides: int) -> bool:
    """Whether the first line of a table seems to name its columns.

    The caller then asks the user, because reading a header as a row, or dropping a row as a header, would be silent.

    Args:
        first: the fields of the first line, without white space at their ends.
        others: the fields of the next lines.
        sides: number of columns that are read, the first ones; the last of them may hold labels.
    """
    rows = [[field.strip() for field in row[:sides]] for row in others if len(row) >= sides]
    if len(first) < sides or not rows:
        return False
    last = Counter(row[-1] for row in rows)
    if sides > 1 and first[sides - 1] in last:  # a label that other rows have, too
        return False
    if sides > 1 and len(rows) >= 4 and len(last) <= min(_FEW, len(rows) // 2):
        return True  # the others have a few labels, of which the first line has none
    if not all(map(_NAME.fullmatch, first)) or len(set(first)) < len(first):
        return False
    if all(name.casefold() in _SIDES or _LANGUAGE_CODE.fullmatch(name) for name in first[:sides]):
        return True
    names = sum(all(map(_NAME.fullmatch, row)) for row in rows)
    # A list of words consists of lines like this one. Among a few lines, that cannot be known.
    return len(rows) < 4 or names < len(rows) / 2


def unknown_header(path: Path, header: Sequence[str], wanted: Columns) -> ValueError:
    """The error for a first line that seems to name columns, none of which is expected."""
    return ValueError(
        f"The first line of {path} seems to name its columns {list(header)}, but none of these names is expected. Name "
        f"the columns of {wanted.wanted}. If the first line is data, give the numbers of the columns, from 0, or set "
        "header=False (CSV)."
    )
