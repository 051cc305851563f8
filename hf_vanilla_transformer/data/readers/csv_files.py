"""CSV files as people write them: any delimiter, quotes, line breaks in quotes, with a header or without.

Python's `csv` module parses them (RFC 4180). It accepts rows that are bad rows here: those with more or fewer fields
than the other rows, which an unquoted comma in a text causes, and those with quotes in the wrong place.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import Any, BinaryIO

from ...text_lines import open_binary, raw_lines
from .bad_rows import BadRow
from .columns import Columns
from .headers import SAMPLE, Row, find_columns
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable

DELIMITERS = (",", ";", "\t", "|")

# A quoted field after a blank. Python's csv module reads the blank and the quotes as part of the text.
_BLANK_AND_QUOTE = re.compile(r' +"')

# The first line of a file that Excel wrote, or that was written for Excel: `sep=;`.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\r?\n?', re.IGNORECASE)

# The module's limit of 131,072 characters is meant for untrusted input, but a text can be a book.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclass(frozen=True)
class CsvFormat:
    """The format of a CSV file.

    Attributes:
        delimiter: one character; None takes it from a first line such as `sep=;`, which Excel writes and reads, or
            detects comma, semicolon, tab or bar.
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
        if self.delimiter == "\\t":  # as a shell passes it on
            object.__setattr__(self, "delimiter", "\t")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '\r\n"\0'):
            raise ValueError(
                f"delimiter={self.delimiter!r} must be one character, such as ',' or ';' or '\\t', and neither a quote "
                "nor a line end."
            )
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(
                f"encoding={self.encoding!r} is unknown; use utf-8, cp949, latin-1 or another encoding of Python."
            ) from error


def read_csv(path: Path, wanted: Columns, form: CsvFormat | None = None) -> Iterator[RowBatch]:
    """Reads the rows of a CSV file, plain or compressed.

    The names in the first line choose the columns, or their numbers (from 0) do. If the user names no columns and the
    first line has none of the usual names, it is data, and the first columns are taken.

    Raises:
        ValueError: a column does not exist, a quote is never closed, or the first line seems to be a header with
            unknown names.
    """
    form = form or CsvFormat()
    delimiter = form.delimiter or _find_delimiter(path, form)
    skip_blanks = form.quotes and any(
        _quotes_after_blank(row) for _, row in islice(_records(path, form, delimiter), SAMPLE)
    )
    # Blank lines above the header are no rows.
    records = dropwhile(lambda record: _is_blank(record[1]), _records(path, form, delimiter, skip_blanks=skip_blanks))
    sample = list(islice(records, SAMPLE))
    if not sample:
        if any(True for _ in _records(path, form, delimiter)):
            raise ValueError(f"{path} has only blank lines; give a source with at least one row.")
        return
    header = find_columns(sample, wanted, path, header=form.header)
    fits = _by_names(header.row) if header.row is not None else _by_number_of_fields(sample)
    records = chain(sample, records)
    if header.row is not None:
        next(records)
    while block := list(islice(records, ROWS_PER_BATCH)):
        problems: dict[int, BadRow] = {}
        sides: list[list[Any]] = [[] for _ in header.chosen]
        for index, (_, row) in enumerate(block):
            if isinstance(row, BadRow):
                problems[index] = row
            elif form.quotes and _quotes_after_blank(row):
                problems[index] = BadRow.QUOTES
            elif header.is_repeated_by(row):
                problems[index] = BadRow.HEADER
            elif row and not fits(row):
                problems[index] = BadRow.FIELDS
            for side, column in zip(sides, header.chosen):
                present = not isinstance(row, BadRow) and column < len(row)
                side.append(_checked(row[column]) if present else "" if row == [] else None)
        yield RowBatch(str(path), [number for number, _ in block], sides, problems, columns=header.names)


def _is_blank(row: list[str] | BadRow) -> bool:
    return not isinstance(row, BadRow) and not any(field.strip() for field in row)


def _by_names(header: list[str]) -> Callable[[list[str]], bool]:
    """Whether a row has a field for each name, and only empty fields beyond the header."""
    named = max((number for number, name in enumerate(header, start=1) if name), default=0)
    return lambda row: len(row) >= named and not any(row[len(header) :])


def _by_number_of_fields(sample: list[Row]) -> Callable[[list[str]], bool]:
    """Whether a row has as many fields as most rows; the larger number if two are equally frequent."""
    sizes = Counter(len(row) for _, row in sample if not isinstance(row, BadRow) and row)
    usual = max(sizes, key=lambda size: (sizes[size], size), default=0)
    return lambda row: len(row) == usual


def _quotes_after_blank(row: list[str] | BadRow) -> bool:
    return not isinstance(row, BadRow) and any(map(_BLANK_AND_QUOTE.match, row))


def _find_delimiter(path: Path, form: CsvFormat) -> str:
    """The delimiter that the first line names, else that for which most rows have the same number of fields."""
    with open_binary(path) as stream:
        first = next(_decoded_lines(stream, form.encoding, path), "")
    if named := _SEPARATOR_LINE.fullmatch(first):
        return named[1]

    def rows_that_agree(delimiter: str) -> int:
        try:
            sample = list(islice(_records(path, form, delimiter), SAMPLE))
        except ValueError:  # with this delimiter a quote is never closed
            return 0
        sizes = Counter(len(row) for _, row in sample if not isinstance(row, BadRow))
        return max((count for size, count in sizes.items() if size > 1), default=0)

    return max(DELIMITERS, key=rows_that_agree)  # the first of equals


def _records(path: Path, form: CsvFormat, delimiter: str, *, skip_blanks: bool = False) -> Iterator[Row]:
    """Each record with the number of its first line; a `BadRow` in the place of a broken record.

    Args:
        path: the file.
        form: its format.
        delimiter: its delimiter.
        skip_blanks: ignore blanks after a delimiter, so that a quote can follow them.
    """
    with open_binary(path) as stream:
        read: list[str] = []  # the lines of the current record

        above = 0  # lines that are no record

        def recorded() -> Iterator[str]:
            nonlocal above
            for number, line in enumerate(_decoded_lines(stream, form.encoding, path)):
                if number == 0 and _SEPARATOR_LINE.fullmatch(line):
                    above = 1
                    continue
                read.append(line)
                yield line

        quoting = csv.QUOTE_MINIMAL if form.quotes else csv.QUOTE_NONE
        reader = csv.reader(recorded(), delimiter=delimiter, quoting=quoting, strict=True, skipinitialspace=skip_blanks)
        after_broken = False  # a record was broken, and none with a quote has followed
        while True:
            before = reader.line_num
            read.clear()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number = above + before + 1
                if "unexpected end of data" in str(error):
                    raise ValueError(
                        f"{path}:{number}: a quote opens here and never closes, so the rest of the file would be one "
                        "field; close it, or double it if it belongs to the text."
                    ) from error
                if "NUL" in str(error):  # Python 3.10
                    yield number, BadRow.NUL
                elif "new-line character" in str(error):
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
            yield above + before + 1, BadRow.QUOTES if quotes % 2 else row


def _decoded_lines(stream: BinaryIO, encoding: str, path: Path) -> Iterator[str]:
    """The lines of a stream with their line ends.

    Undecodable bytes become lone surrogates, so that only the field that contains them is bad.
    """
    lines, encoding = raw_lines(stream, encoding, str(path))
    try:
        for line in lines:
            yield line if isinstance(line, str) else line.decode(encoding, errors="surrogateescape")
    except UnicodeError as error:  # of an encoding that knows no surrogates
        raise ValueError(f"{path} is not {encoding} ({error}); correct the file, or name its encoding.") from error


def _checked(value: str) -> str:
    return Undecodable() if any("\udc80" <= character <= "\udcff" for character in value) else value
