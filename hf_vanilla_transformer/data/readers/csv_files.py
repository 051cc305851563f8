"""CSV files as people write them: any delimiter, quotes, line breaks in quotes, with a header or without.

Python's `csv` module parses them (RFC 4180). It accepts rows that are bad rows here: those with more or fewer fields
than the other rows, which an unquoted comma in a text causes, and those with quotes in the wrong place.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ...files import open_binary
from .bad_rows import BadRow
from .columns import Columns
from .headers import SAMPLE, seems_header, unknown_header
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable
from .text_files import decoded_lines, wide_encoding

DELIMITERS = (",", ";", "\t", "|")

# A quoted field after a blank. Python's csv module reads the blank and the quotes as part of the text.
_BLANK_AND_QUOTE = re.compile(r' +"')

# The module's limit of 131,072 characters is meant for untrusted input, but a text can be a book.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))

Record = tuple[int, list[str] | BadRow]


@dataclass(frozen=True)
class CsvFormat:
    """The format of a CSV file.

    Attributes:
        delimiter: one character; None detects comma, semicolon, tab or bar.
        encoding: such as ``utf-8`` (with or without a byte order mark) or ``cp949``, in which Excel saves in Korea. A
            file that begins with the byte order mark of UTF-16 or UTF-32 is read as that.
        header: whether the first line names the columns; None detects it.
        quotes: whether double quotes enclose a field; otherwise they are ordinary characters.

    Raises:
        ValueError: the delimiter is not one character, or the encoding is unknown.
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
                f"encoding={self.encoding!r} is unknown; use utf-8, cp949, latin-1 or another encoding of Python."
            ) from error


def read_csv(path: Path, wanted: Columns, form: CsvFormat | None = None) -> Iterator[RowBatch]:
    """Reads the rows of a CSV file, plain or `.gz`.

    The names in the first line choose the columns, or their numbers (from 0) do. If the user names no columns and the
    first line has none of the usual names, it is data, and the first columns are taken.

    Raises:
        ValueError: a column does not exist, a quote is never closed, or the first line seems to be a header with
            unknown names.
    """
    form = form or CsvFormat()
    delimiter = form.delimiter or _find_delimiter(path, form)
    records = _records(path, form, delimiter)
    sample = list(islice(records, SAMPLE))
    if form.quotes and any(_quotes_after_blank(row) for _, row in sample):
        records = _records(path, form, delimiter, skip_blanks=True)
        sample = list(islice(records, SAMPLE))
    if not sample:
        return
    first = sample[0][1]
    names: tuple[str, ...] = ()
    chosen = wanted.indices()
    if chosen is not None:
        skip_first = bool(form.header)
    elif form.header is False:
        if wanted.named:
            raise ValueError(
                f"header=False says that {path} does not name its columns, but {wanted.wanted} are names; give the "
                "numbers of the columns, from 0."
            )
        chosen, skip_first = list(range(wanted.sides)), False
    else:
        chosen, skip_first = _by_name(first, wanted, path, form, sample)
        if skip_first:
            names = tuple(first[column].strip() for column in chosen)
    fields = _usual_fields(sample)
    records = chain(sample, records)
    if skip_first:
        next(records)
    while block := list(islice(records, ROWS_PER_BATCH)):
        problems: dict[int, BadRow] = {}
        sides: list[list[Any]] = [[] for _ in chosen]
        for index, (_, row) in enumerate(block):
            if isinstance(row, BadRow):
                problems[index] = row
            elif form.quotes and _quotes_after_blank(row):
                problems[index] = BadRow.QUOTES
            elif row and len(row) != fields:
                problems[index] = BadRow.FIELDS
            for side, column in zip(sides, chosen):
                present = not isinstance(row, BadRow) and column < len(row)
                side.append(_checked(row[column]) if present else "" if row == [] else None)
        yield RowBatch(str(path), [number for number, _ in block], sides, problems, columns=names)


def _by_name(
    first: list[str] | BadRow, wanted: Columns, path: Path, form: CsvFormat, sample: list[Record]
) -> tuple[list[int], bool]:
    """The indices of the wanted columns, and whether the first line is a header."""
    header = [] if isinstance(first, BadRow) else [name.strip() for name in first]
    try:
        paths = wanted.choose(dict.fromkeys(header), f"The first line of {path}")
        return [header.index(name) for (name,) in paths], True
    except ValueError:
        if wanted.named or form.header:
            raise
    others = [row for _, row in sample[1:] if not isinstance(row, BadRow)]
    if seems_header(header, others, wanted):
        raise unknown_header(path, header, wanted)
    return list(range(wanted.sides)), False


def _quotes_after_blank(row: list[str] | BadRow) -> bool:
    return not isinstance(row, BadRow) and any(map(_BLANK_AND_QUOTE.match, row))


def _find_delimiter(path: Path, form: CsvFormat) -> str:
    """The delimiter for which most rows have the same number of fields, at least two."""

    def rows_that_agree(delimiter: str) -> int:
        try:
            sample = list(islice(_records(path, form, delimiter), SAMPLE))
        except ValueError:  # with this delimiter a quote is never closed
            return 0
        sizes = Counter(len(row) for _, row in sample if not isinstance(row, BadRow))
        return max((count for size, count in sizes.items() if size > 1), default=0)

    return max(DELIMITERS, key=rows_that_agree)  # the first of equals


def _usual_fields(sample: list[Record]) -> int:
    """The number of fields that most rows have; the larger number if two are equally frequent."""
    sizes = Counter(len(row) for _, row in sample if not isinstance(row, BadRow) and row)
    return max(sizes, key=lambda size: (sizes[size], size)) if sizes else 0


def _records(path: Path, form: CsvFormat, delimiter: str, *, skip_blanks: bool = False) -> Iterator[Record]:
    """Each record with the number of its first line; a `BadRow` in the place of a broken record.

    Args:
        path: the file.
        form: its format.
        delimiter: its delimiter.
        skip_blanks: ignore blanks after a delimiter, so that a quote can follow them.
    """
    with open_binary(path) as stream:
        read: list[str] = []  # the lines of the current record

        def recorded() -> Iterator[str]:
            for line in _decoded_lines(stream, form.encoding, path):
                read.append(line)
                yield line

        quoting = csv.QUOTE_MINIMAL if form.quotes else csv.QUOTE_NONE
        reader = csv.reader(recorded(), delimiter=delimiter, quoting=quoting, strict=True, skipinitialspace=skip_blanks)
        after_broken = False  # a record was broken, and none with a quote has followed
        while True:
            number = reader.line_num + 1
            read.clear()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    raise ValueError(
                        f"{path}:{number}: a quote opens here and never closes, so the rest of the file would be one "
                        "field; close it, or double it if it belongs to the text."
                    ) from error
                if "new-line character" in str(error):
                    yield number, BadRow.CARRIAGE_RETURN
                elif "expected after" in str(error):
                    after_broken = True
                    yield number, BadRow.QUOTES
                else:
                    raise ValueError(f"{path}:{number}: not a CSV record ({error}); correct or remove it.") from error
                continue
            quotes = sum(line.count('"') for line in read) if after_broken else 0
            after_broken = after_broken and quotes == 0
            # An odd quote closes the field of the broken record: this line is the rest of it.
            yield number, BadRow.QUOTES if quotes % 2 else row


def _decoded_lines(stream: Any, encoding: str, path: Path) -> Iterator[str]:
    # Undecodable bytes become lone surrogates, so that only the field that contains them is bad.
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    buffered = io.BufferedReader(stream)
    wide = wide_encoding(buffered.peek(4)[:4])
    if wide is not None or name.lower().replace("-", "").replace("_", "").startswith(("utf16", "utf32")):
        # In these, a line feed is more than one byte.
        yield from decoded_lines(buffered, wide or encoding, path)
        return
    for number, raw in enumerate(buffered):
        yield raw.decode(name if number == 0 or name != "utf-8-sig" else "utf-8", errors="surrogateescape")


def _checked(value: str) -> str:
    return Undecodable() if any("\udc80" <= character <= "\udcff" for character in value) else value
