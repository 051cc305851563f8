"""Tab-separated files without quoting, as corpora of sentence pairs are distributed."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from .columns import Columns
from .headers import SAMPLE, seems_header, unknown_header
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable
from .text_files import lines


def read_tsv(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads fields that are separated by tabs, without quoting.

    The names in the first line choose the columns, or their numbers do. If the first line has none of the expected
    names, it is data, and the first columns are taken. All other columns are ignored.

    Raises:
        ValueError: a column does not exist, or the first line seems to be a header with unknown names.
    """
    rows = ((number, line) for number, line in enumerate(lines(path), start=1))
    chosen = wanted.indices()
    if chosen is None:
        first = next(rows, None)
        if first is None:
            return
        header = [name.strip() for name in first[1].split("\t")]
        try:
            paths = wanted.choose(dict.fromkeys(header), f"The first line of {path}")
            chosen = [header.index(name) for (name,) in paths]
        except ValueError:
            if wanted.named:
                raise
            sample = list(islice(rows, SAMPLE))
            if seems_header(header, [line.split("\t") for _, line in sample], wanted):
                raise unknown_header(path, header, wanted) from None
            chosen = list(range(wanted.sides))
            rows = chain([first], sample, rows)
    while block := list(islice(rows, ROWS_PER_BATCH)):
        values = [_fields(line, chosen) for _, line in block]
        sides = [[row[side] for row in values] for side in range(wanted.sides)]
        yield RowBatch(str(path), [number for number, _ in block], sides)


def _fields(line: str, chosen: list[int]) -> list[str | None]:
    if isinstance(line, Undecodable):
        return [line] * len(chosen)
    if not line.strip():
        return [""] * len(chosen)
    values = line.split("\t")
    return [values[column] if column < len(values) else None for column in chosen]
