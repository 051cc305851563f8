"""The columns of a table of text: by the names in its first line, by their numbers, or by their order."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .bad_rows import BadRow
from .columns import Columns

logger = logging.getLogger(__name__)

# Rows that are sampled to tell a header from data, and to find the delimiter of a CSV file.
SAMPLE = 200
# Lines above the header (a title, a comment) that are recognised.
_ABOVE_HEADER = 10

# A column with more different values than this in the sample is unlikely to hold labels.
_FEW = 20
# One to three words without punctuation between them, such as `comment`, `Review text` and `label_id`.
_NAME = re.compile(r"[^\W\d][\w-]+(?:[ .][^\W\d][\w-]*){0,2}")
# Names such as `text_en` and `sentence1`.
_IDENTIFIER = re.compile(r"[a-z]+(?:_[a-z0-9]+)+|[a-z]+\d")
_LANGUAGE_CODE = re.compile(r"[a-z]{2}(?:[-_][A-Za-z]{2,4})?|[a-z]{3}_[A-Z][a-z]{3}")
_WEB_PAGE = re.compile(r"\s*<(?:!doctype html|html|head|\?xml)\b", re.IGNORECASE)
# The words of which headers of texts and parallel corpora consist, beside languages' codes.
_WORDS = {
    "answer", "article", "document", "input", "lang", "language", "output", "question", "sentence", "source", "src",
    "summary", "target", "text", "tgt", "trg", "arabic", "chinese", "czech", "danish", "deutsch", "dutch", "english",
    "finnish", "français", "french", "german", "greek", "hebrew", "hindi", "hungarian", "indonesian", "italian",
    "japanese", "korean", "norwegian", "persian", "polish", "portuguese", "romanian", "russian", "spanish", "swedish",
    "thai", "turkish", "ukrainian", "vietnamese", "영어", "한국어", "독일어", "원문", "번역문",
}  # fmt: skip

Row = tuple[int, "list[str] | BadRow"]


@dataclass(frozen=True)
class Header:
    """The columns of a table that are read.

    Attributes:
        chosen: their numbers, from 0.
        row: the fields of the first line, without white space at their ends, if it names the columns; else None.
    """

    chosen: list[int]
    row: list[str] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the chosen columns; empty without a header."""
        return () if self.row is None else tuple(self.row[column] for column in self.chosen)

    def is_repeated_by(self, row: list[str]) -> bool:
        """Whether a row is the header once more, as in files that were joined."""
        return self.row is not None and len(row) == len(self.row) and [field.strip() for field in row] == self.row


def find_columns(sample: Sequence[Row], wanted: Columns, path: Path, *, header: bool | None = None) -> Header:
    """The wanted columns of a table.

    Args:
        sample: the first rows with the numbers of their lines; at least one. None is blank at the beginning.
        wanted: the columns. If the user names none and the first line has none of the usual names, it is data, and the
            first columns are taken.
        path: of the file, for errors.
        header: whether the first line names the columns; None detects it.

    Raises:
        ValueError: a column does not exist or exists twice, or the first line seems to be a header with unknown names,
            or cannot be read.
    """
    first = sample[0][1]
    row = [] if isinstance(first, BadRow) else [field.strip() for field in first]
    if row and _WEB_PAGE.match(row[0]):
        raise ValueError(f"{path} is a web page or XML, not a table: download the table itself.")
    others = [fields for _, fields in sample[1:] if not isinstance(fields, BadRow)]
    indices = wanted.indices()
    if indices is not None:
        widest = max(map(len, [row, *others]))
        if max(indices) >= widest:
            raise ValueError(
                f"{path} has {widest} columns, with the numbers 0 to {widest - 1}; there is no {max(indices)}."
            )
        if header is None and row and seems_header(row, others, wanted):
            logger.warning(
                "%s: the first line, %s, is read as data, because the columns are given by number. If it names them, "
                "set header=True (data.header in a recipe), or give the names.",
                path, row[:5],
            )  # fmt: skip
        return Header(indices, row if header else None)
    if header is False:
        if wanted.named:
            raise ValueError(
                f"header=False says that {path} does not name its columns, but {wanted.wanted} are names; give the "
                "numbers of the columns, from 0."
            )
        return Header(list(range(wanted.sides)), None)
    if isinstance(first, BadRow):
        raise ValueError(
            f"The first line of {path}, which may name the columns, cannot be read ({first.value}): correct it, or set "
            "header=False (data.header) if the file has no header."
        )
    try:
        paths = wanted.choose(dict.fromkeys(row), f"The first line of {path}")
    except ValueError:
        if wanted.named or header:
            raise
        _refuse_doubt(row, sample, others, wanted, path)
        return Header(list(range(wanted.sides)), None)
    names = [name for (name,) in paths]
    if repeated := [name for name in names if row.count(name) > 1]:
        raise ValueError(
            f"The first line of {path} has the name {repeated[0]!r} {row.count(repeated[0])} times: rename one column, "
            "or give the numbers of the columns, from 0."
        )
    return Header([row.index(name) for name in names], row)


def _refuse_doubt(
    row: list[str], sample: Sequence[Row], others: Sequence[Sequence[str]], wanted: Columns, path: Path
) -> None:
    """Raises ValueError if a first line without the expected names may nevertheless be no data."""
    for number, later in sample[1:_ABOVE_HEADER]:
        if not isinstance(later, BadRow) and wanted.exist_in([field.strip() for field in later]):
            raise ValueError(
                f"{path}:{number} seems to name the columns, but it is not the first line: remove the lines above it."
            )
    if wanted.some_exist_in(row) or seems_header(row, others, wanted):
        raise unknown_header(path, row, wanted)
    fields = _usual_width([row, *others])
    if fields < wanted.sides:
        raise ValueError(
            f"{path} has a single column, for neither comma, semicolon, tab nor bar separates its fields, but "
            f"{wanted.wanted} need {wanted.sides}: name the delimiter (data.delimiter), or convert the file."
        )
    # The first two columns of a file of sentence pairs are the pair; others often follow, such as the source.
    if fields > wanted.sides and (wanted.labelled or wanted.sides == 1):
        raise ValueError(
            f"{path} has {fields} columns and no header with a usual name: give the numbers of the columns of "
            f"{wanted.wanted}, from 0, with {wanted.remedy}."
        )


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    """The number of fields that most rows have, without empty ones at their ends."""
    widths = Counter(max((number for number, field in enumerate(row, 1) if field.strip()), default=0) for row in rows)
    return max(widths, key=lambda width: (widths[width], width))


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
    """The error for a first line that seems to name columns, which are not those that are expected."""
    return ValueError(
        f"The first line of {path} seems to name its columns {list(header)}, but not those of {wanted.wanted}: name "
        f"them with {wanted.remedy}. If the first line is data, give the numbers of the columns, from 0, or set "
        "header=False (data.header; CSV)."
    )
