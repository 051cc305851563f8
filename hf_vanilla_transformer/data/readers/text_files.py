"""Text files, single or parallel, whose lines, paragraphs or entire content are texts."""

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Literal

from ...text_lines import text_lines
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable

SampleBy = Literal["line", "paragraph", "document"]


def lines(path: Path) -> Iterator[str]:
    """The lines of a file, see `text_lines`; an `Undecodable` in the place of a line that is not UTF-8."""
    return (line if isinstance(line, str) else Undecodable() for line in text_lines(path))


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
