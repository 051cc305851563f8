"""Rows out of files, in chunks, each row with the number of its line, and nothing that is wrong with it passed over."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import columns
from .columns import Columns, value_at
from .row_report import BadRow

CHUNK = 10_000

SampleBy = Literal["line", "paragraph", "document"]


@dataclass
class Chunk:
    """Some consecutive rows of one source.

    Attributes:
        place: the file (or data set) they are from.
        numbers: the number of each row in it: its line, from 1, or its row, from 0, in a table.
        sides: for each side the values of all rows; None where the side is missing.
        problems: what is wrong with rows that have no values, by their index in this chunk.
    """

    place: str
    numbers: Sequence[int]
    sides: list[list[Any]]
    problems: dict[int, BadRow] = field(default_factory=dict)


class Undecodable(str):
    """Stands for a text that is not UTF-8."""


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file without their ends, as UTF-8; only line feeds end a line. Plain or `.gz`."""
    with open_binary(path) as stream:
        for number, raw in enumerate(stream):
            raw = raw.removesuffix(b"\n").removesuffix(b"\r")
            try:
                yield raw.decode("utf-8-sig" if number == 0 else "utf-8")
            except UnicodeDecodeError:
                yield Undecodable()


def read_parallel(paths: Sequence[Path]) -> Iterator[Chunk]:
    """Line n of the first file belongs to line n of the others."""
    place = str(paths[0]) if len(paths) == 1 else _together(paths)
    rows = enumerate(zip_longest(*map(lines, paths)), start=1)
    while block := list(islice(rows, CHUNK)):
        yield _chunk(place, [number for number, _ in block], [list(row) for _, row in block], len(paths))


def read_text(path: Path, sample_by: SampleBy) -> Iterator[Chunk]:
    """One text a line, a paragraph (ended by blank lines) or a file; the number is that of its first line."""
    if sample_by == "line":
        yield from read_parallel([path])
        return
    numbers: list[int] = []
    texts: list[list[str]] = []
    paragraph: list[str] = []
    for number, line in enumerate(lines(path), start=1):
        if sample_by == "paragraph" and not line.strip() and not isinstance(line, Undecodable):
            if paragraph:
                texts.append([_joined(paragraph)])
            paragraph = []
            continue
        if not paragraph:
            numbers.append(number)
        paragraph.append(line)
    if paragraph:
        texts.append([_joined(paragraph)])
    for begin in range(0, len(texts), CHUNK):
        yield _chunk(str(path), numbers[begin : begin + CHUNK], texts[begin : begin + CHUNK], 1)


def read_tsv(path: Path, wanted: Columns) -> Iterator[Chunk]:
    """Fields separated by tabs, without quoting.

    The columns are chosen by the names in the first line if it has them, or by number; otherwise they are the first
    ones, and the first line is data. Further columns are passed over.
    """
    rows = ((number, line) for number, line in enumerate(lines(path), start=1))
    chosen = wanted.positions()
    if chosen is None:
        first = next(rows, None)
        if first is None:
            return
        header = dict.fromkeys(name.strip() for name in first[1].split("\t"))
        try:
            paths = wanted.choose(header, f"The first line of {path}")
            chosen = [list(header).index(name) for (name,) in paths]
        except ValueError:
            if wanted.named:
                raise
            chosen = list(range(wanted.sides))
            rows = _after(first, rows)
    while block := list(islice(rows, CHUNK)):
        values = [_fields(line, chosen) for _, line in block]
        yield _chunk(str(path), [number for number, _ in block], values, wanted.sides)


def read_json_lines(path: Path, wanted: Columns) -> Iterator[Chunk]:
    """One JSON object a line. The columns are chosen by the first lines that are objects and hold them."""
    rows = enumerate(lines(path), start=1)
    paths: tuple[columns.Path, ...] | None = None
    while block := list(islice(rows, CHUNK)):
        problems: dict[int, BadRow] = {}
        objects: list[Any] = []
        for index, (_, line) in enumerate(block):
            value = None
            if isinstance(line, Undecodable):
                problems[index] = BadRow.NOT_UTF8  # no object, so there is no value that could say so
            elif not line.strip():
                problems[index] = BadRow.EMPTY
            else:
                try:
                    value = json.loads(line)
                except json.JSONDecodeError:
                    problems[index] = BadRow.NOT_JSON
                else:
                    if not isinstance(value, dict):
                        problems[index], value = BadRow.NOT_JSON, None
            objects.append(value)
        if paths is None and (known := _known_columns(objects)):
            paths = wanted.choose(known, str(path))
        if paths is None:
            sides = [[None] * len(block) for _ in range(wanted.sides)]
        else:
            sides = [[value_at(value, one) for value in objects] for one in paths]
        yield Chunk(str(path), [number for number, _ in block], sides, problems)


def read_parquet(path: Path, wanted: Columns) -> Iterator[Chunk]:
    """Columns of strings, or fields of columns of structures such as `translation`."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a parquet file: {error}") from error
    with file:
        schema = file.schema_arrow
        paths = wanted.choose({name: _struct_fields(schema.field(name).type) for name in schema.names}, str(path))
        row = 0
        for batch in file.iter_batches(batch_size=CHUNK, columns=sorted({one[0] for one in paths})):
            sides = [_arrow_values(batch.column(one[0]), one[1:]) for one in paths]
            yield Chunk(str(path), range(row, row + batch.num_rows), sides)
            row += batch.num_rows


def open_binary(path: Path) -> BinaryIO:
    """A file to read, unpacked if it ends in `.gz`."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _together(paths: Sequence[Path]) -> str:
    """`train.en` and `train.de` as `train.{en,de}`; files with other names side by side."""
    if len({(path.parent, path.stem) for path in paths}) == 1:
        return f"{paths[0].parent / paths[0].stem}.{{{','.join(path.suffix[1:] for path in paths)}}}"
    return "|".join(map(str, paths))


def _chunk(place: str, numbers: list[int], rows: list[list[str | None]], sides: int) -> Chunk:
    return Chunk(place, numbers, [[row[side] for row in rows] for side in range(sides)])


def _joined(paragraph: list[str]) -> str:
    return Undecodable() if any(isinstance(line, Undecodable) for line in paragraph) else "\n".join(paragraph)


def _after(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _fields(line: str, chosen: list[int]) -> list[str | None]:
    if isinstance(line, Undecodable):
        return [line] * len(chosen)
    if not line.strip():
        return [""] * len(chosen)
    values = line.split("\t")
    return [values[column] if column < len(values) else None for column in chosen]


def _known_columns(objects: list[Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for value in objects:
        for name, inner in (value or {}).items():
            known[name] = {**known.get(name, {}), **inner} if isinstance(inner, dict) else known.get(name) or {}
    return known


def _struct_fields(kind: pa.DataType) -> dict[str, None]:
    return dict.fromkeys(inner.name for inner in kind) if pa.types.is_struct(kind) else {}


def _arrow_values(column: pa.Array, path: columns.Path) -> list[Any]:
    for name in path:
        column = pc.struct_field(column, name)
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # Arrow's strings are not checked when a file is read
        return [None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return Undecodable()
