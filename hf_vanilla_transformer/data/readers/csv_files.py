"""Comma-separated files as people have them: any delimiter, quotes, line breaks in quotes, with a header or without.

Python's own `csv` does the parsing (RFC 4180). What it would pass over is a bad row here: another number of fields than
the other rows have, which an unquoted comma in a text makes, and quotes in the wrong place.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from .columns import Columns
from .file_formats import CHUNK, Chunk, Undecodable, open_binary
from .row_report import BadRow

DELIMITERS = (",", ";", "\t", "|")

# Rows that are looked at to find the delimiter and to tell a header from data.
_SAMPLE = 200
# A second column with more different values than this in the sample is hardly one of labels.
_FEW = 20

Record = tuple[int, list[str] | BadRow]


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
        delimiter: one character; None finds out which of comma, semicolon, tab and bar it is.
        encoding: such as ``utf-8`` (with or without a byte order mark) or ``cp949``, as Excel saves in Korea.
        header: whether the first line names the columns; None looks whether it does.
        quotes: whether double quotes enclose a field; otherwise they are characters like any other.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    header: bool | None = None
    quotes: bool = True

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError(f"delimiter={self.delimiter!r} must be one character, such as ',' or ';' or '\\t'.")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(
                f"encoding={self.encoding!r} is not known; use utf-8, cp949, latin-1 or another name of Python's."
            ) from error


def read_csv(path: Path, wanted: Columns, form: CsvFormat | None = None) -> Iterator[Chunk]:
    """The rows of a CSV file, plain or `.gz`.

    The columns are chosen by the names in the first line, or by number (from 0). If the first line has none of the
    names that are tried by themselves, it is data and the columns are the first ones.

    Raises:
        ValueError: no such columns; a quote that is never closed; a first line that seems to be a header although its
            names are unknown.
    """
    form = form or CsvFormat()
    delimiter = form.delimiter or _find_delimiter(path, form)
    records = _records(path, form, delimiter)
    sample = list(islice(records, _SAMPLE))
    if not sample:
        return
    first = sample[0][1]
    chosen = wanted.positions()
    if chosen is not None:
        skip_first = bool(form.header)
    elif form.header is False:
        if wanted.named:
            raise ValueError(
                f"header=False says that {path} does not name its columns, but the columns {wanted.wanted} are wanted "
                "by name; give their numbers, from 0."
            )
        chosen, skip_first = list(range(wanted.sides)), False
    else:
        chosen, skip_first = _by_name(first, wanted, path, form, sample)
    fields = _usual_fields(sample)
    records = chain(sample, records)
    if skip_first:
        next(records)
    while block := list(islice(records, CHUNK)):
        problems: dict[int, BadRow] = {}
        sides: list[list[Any]] = [[] for _ in chosen]
        for index, (_, row) in enumerate(block):
            if isinstance(row, BadRow):
                problems[index] = row
            elif row and len(row) != fields:
                problems[index] = BadRow.FIELDS
            for side, column in zip(sides, chosen):
                whole = not isinstance(row, BadRow) and column < len(row)
                side.append(_checked(row[column]) if whole else "" if row == [] else None)
        yield Chunk(str(path), [number for number, _ in block], sides, problems)


def _by_name(
    first: list[str] | BadRow, wanted: Columns, path: Path, form: CsvFormat, sample: list[Record]
) -> tuple[list[int], bool]:
    """The positions of the wanted columns, and whether the first line is a header."""
    header = [] if isinstance(first, BadRow) else [name.strip() for name in first]
    try:
        paths = wanted.choose(dict.fromkeys(header), f"The first line of {path}")
        return [header.index(name) for (name,) in paths], True
    except ValueError:
        if wanted.named or form.header:
            raise
    if _seems_header(header, wanted.sides, sample):
        raise ValueError(
            f"The first line of {path} seems to name its columns {header}, but none of these is expected. Say which "
            f"hold {wanted.wanted}, by name or number, or say header=False if the line is data."
        )
    return list(range(wanted.sides)), False


def _seems_header(header: list[str], sides: int, sample: list[Record]) -> bool:
    """Whether the last wanted column has few values that come again and again, and its first value never does."""
    values = [row[sides - 1].strip() for _, row in sample[1:] if not isinstance(row, BadRow) and len(row) >= sides]
    if len(header) < sides or len(values) < 4:
        return False
    counts = Counter(values)
    return len(counts) <= min(_FEW, len(values) // 2) and header[sides - 1] not in counts


def _find_delimiter(path: Path, form: CsvFormat) -> str:
    """The delimiter that gives most rows the same number of fields, of at least two."""

    def agreeing(delimiter: str) -> int:
        try:
            sample = list(islice(_records(path, form, delimiter), _SAMPLE))
        except ValueError:  # a quote that this delimiter does not close
            return 0
        sizes = Counter(len(row) for _, row in sample if not isinstance(row, BadRow))
        return max((count for size, count in sizes.items() if size > 1), default=0)

    return max(DELIMITERS, key=agreeing)  # of equals the first


def _usual_fields(sample: list[Record]) -> int:
    """How many fields most rows have; of equally many the larger number."""
    sizes = Counter(len(row) for _, row in sample if not isinstance(row, BadRow) and row)
    return max(sizes, key=lambda size: (sizes[size], size)) if sizes else 0


def _records(path: Path, form: CsvFormat, delimiter: str) -> Iterator[Record]:
    """Every record with the number of its first line; a broken one as what is wrong with it."""
    with open_binary(path) as stream:
        lines = _decoded_lines(stream, form.encoding)
        quoting = csv.QUOTE_MINIMAL if form.quotes else csv.QUOTE_NONE
        reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    raise ValueError(
                        f"{path}:{number}: a quote is opened here and never closed, so all that follows would be one "
                        "field; close it, or double it if it belongs to the text."
                    ) from error
                yield number, BadRow.QUOTES
                continue
            yield number, row


def _decoded_lines(stream: Any, encoding: str) -> Iterator[str]:
    # Bytes that are no text stay as lone surrogates, so that only the field they are in is bad.
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    if name.lower().replace("-", "").startswith(("utf16", "utf32")):  # a line feed is not one byte there
        yield from stream.read().decode(encoding).splitlines(keepends=True)
        return
    for number, raw in enumerate(stream):
        yield raw.decode(name if number == 0 or name != "utf-8-sig" else "utf-8", errors="surrogateescape")


def _checked(value: str) -> str:
    return Undecodable() if any("\udc80" <= character <= "\udcff" for character in value) else value
