"""Text files: single or parallel, plain or compressed with gzip."""

import codecs
import io
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO, Literal

from ...files import open_binary
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable

SampleBy = Literal["line", "paragraph", "document"]


def wide_encoding(first_bytes: bytes) -> str | None:
    """``utf-16`` or ``utf-32`` if the first four bytes of a file are a byte order mark of these, else None."""
    if first_bytes.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # its beginning is UTF-16's
        return "utf-32"
    return "utf-16" if first_bytes.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def decoded_lines(stream: BinaryIO, encoding: str, path: Path) -> Iterator[str]:
    """The lines of a stream with their line ends. Only a line feed ends a line.

    Args:
        stream: the bytes.
        encoding: any, also one in which a line feed is more than one byte.
        path: of the file, for the error.

    Raises:
        ValueError: the text is not in this encoding.
    """
    try:
        yield from io.TextIOWrapper(stream, encoding=encoding, newline="\n")
    except UnicodeError as error:
        raise ValueError(f"{path} is not {encoding} ({error}); correct the file, or name its encoding.") from error


def lines(path: Path) -> Iterator[str]:
    """The lines of a file, plain or `.gz`, without their line ends. Only a line feed ends a line.

    The file is UTF-8, or UTF-16 or UTF-32 with a byte order mark.
    """
    with open_binary(path) as stream:
        buffered = io.BufferedReader(stream)  # type: ignore[type-var]
        if (wide := wide_encoding(buffered.peek(4)[:4])) is not None:
            for line in decoded_lines(buffered, wide, path):
                yield line.removesuffix("\n").removesuffix("\r")
            return
        for number, raw in enumerate(buffered):
            raw = raw.removesuffix(b"\n").removesuffix(b"\r")
            try:
                yield raw.decode("utf-8-sig" if number == 0 else "utf-8")
            except UnicodeDecodeError:
                yield Undecodable()


def read_parallel(paths: Sequence[Path]) -> Iterator[RowBatch]:
    """Reads files whose lines correspond: line n of each file is a side of row n."""
    origin = str(paths[0]) if len(paths) == 1 else _joint_name(paths)
    rows = enumerate(zip_longest(*map(lines, paths)), start=1)
    while block := list(islice(rows, ROWS_PER_BATCH)):
        yield _row_batch(origin, [number for number, _ in block], [list(row) for _, row in block], len(paths))


def read_text(path: Path, sample_by: SampleBy) -> Iterator[RowBatch]:
    """Reads one text per line, per paragraph (paragraphs are separated by blank lines) or per file.

    The number of a text is that of its first line.
    """
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
    for begin in range(0, len(texts), ROWS_PER_BATCH):
        yield _row_batch(str(path), numbers[begin : begin + ROWS_PER_BATCH], texts[begin : begin + ROWS_PER_BATCH], 1)


def _joint_name(paths: Sequence[Path]) -> str:
    """`train.{en,de}` for `train.en` and `train.de`; other names are separated by a bar."""
    if len({(path.parent, path.stem) for path in paths}) == 1:
        return f"{paths[0].parent / paths[0].stem}.{{{','.join(path.suffix[1:] for path in paths)}}}"
    return "|".join(map(str, paths))


def _row_batch(origin: str, numbers: list[int], rows: list[list[str | None]], sides: int) -> RowBatch:
    return RowBatch(origin, numbers, [[row[side] for row in rows] for side in range(sides)])


def _joined(paragraph: list[str]) -> str:
    return Undecodable() if any(isinstance(line, Undecodable) for line in paragraph) else "\n".join(paragraph)
