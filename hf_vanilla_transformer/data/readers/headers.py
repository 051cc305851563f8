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
# Names such as `text_en` and `sentence1`.
_IDENTIFIER = re.compile(r"[a-z]+(?:_[a-z0-9]+)+|[a-z]+\d")
_LANGUAGE_CODE = re.compile(r"[a-z]{2}(?:[-_][A-Za-z]{2,4})?|[a-z]{3}_[A-Z][a-z]{3}")
# The words of which headers of texts and parallel corpora consist, beside languages' codes.
_WORDS = {
    "answer", "article", "document", "input", "lang", "language", "output", "question", "sentence", "source", "src",
    "summary", "target", "text", "tgt", "trg", "arabic", "chinese", "czech", "danish", "deutsch", "dutch", "english",
    "finnish", "français", "french", "german", "greek", "hebrew", "hindi", "hungarian", "indonesian", "italian",
    "japanese", "korean", "norwegian", "persian", "polish", "portuguese", "romanian", "russian", "spanish", "swedish",
    "thai", "turkish", "ukrainian", "vietnamese", "영어", "한국어", "독일어", "원문", "번역문",
}  # fmt: skip


def seems_header(first: Sequence[str], others: Sequence[Sequence[str]], wanted: Columns) -> bool:
    """Whether the first line of a table seems to name its columns.

    The caller then asks the user, because reading a header as a row, or dropping a row as a header, would be silent.

    Args:
        first: the fields of the first line, without white space at their ends.
        others: the fields of the next lines.
        wanted: the columns that are read if the table has no header, the first ones.
    """
    sides = wanted.sides
    if len(first) < sides:
        return False
    if all(map(_names_texts, first[:sides])):
        return True
    # Any other pair of short texts can be data. A label is different: it occurs again.
    rows = [[field.strip() for field in row[:sides]] for row in others if len(row) >= sides]
    labels = Counter(row[-1] for row in rows)
    if not wanted.labelled or not rows or first[sides - 1] in labels:
        return False
    if len(rows) >= 4 and len(labels) <= min(_FEW, len(rows) // 2):
        return True
    if not all(map(_NAME.fullmatch, first)) or len(set(first)) < len(first):
        return False
    named = sum(all(map(_NAME.fullmatch, row)) for row in rows)
    # A list of words consists of lines like this one. Among a few lines, that cannot be known.
    return len(rows) < 4 or named < len(rows) / 2


def _names_texts(name: str) -> bool:
    words = name.casefold().split()
    return bool(words) and (
        all(word in _WORDS for word in words)
        or _LANGUAGE_CODE.fullmatch(name) is not None
        or _IDENTIFIER.fullmatch(name.casefold()) is not None
    )


def unknown_header(path: Path, header: Sequence[str], wanted: Columns) -> ValueError:
    """The error for a first line that seems to name columns, none of which is expected."""
    return ValueError(
        f"The first line of {path} seems to name its columns {list(header)}, but none of these names is expected. Name "
        f"the columns of {wanted.wanted}. If the first line is data, give the numbers of the columns, from 0, or set "
        "header=False (CSV)."
    )
