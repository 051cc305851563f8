"""Tab-separated files without quoting, as corpora of sentence pairs are distributed."""

from collections.abc import Iterator
from itertools import chain, dropwhile, islice
from pathlib import Path

from .bad_rows import BadRow
from .columns import Columns
from .headers import SAMPLE, find_columns
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable
from .text_files import lines


def read_tsv(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads fields that are separated by tabs, without quoting.

    The names in the first line choose the columns, or their numbers do. If the first line has none of the expected
    names, it is data, and the first columns are taken. All other columns are ignored.

    Raises:
        ValueError: a column does not exist, or the first line seems to be a header with unknown names.
    """
    # Blank lines above the header are no rows.
    rows = dropwhile(lambda numbered: _is_blank(numbered[1]), enumerate(lines(path), start=1))
    sample = list(islice(rows, SAMPLE))
    if not sample:
        if any(True for _ in lines(path)):
            raise ValueError(f"{path} has only blank lines; give a source with at least one row.")
        return
    split = [
        (number, BadRow.NOT_UTF8 if isinstance(line, Undecodable) else line.split("\t")) for number, line in sample
    ]
    header = find_columns(split, wanted, path)
    rows = chain(sample if header.row is None else sample[1:], rows)
    while block := list(islice(rows, ROWS_PER_BATCH)):
        problems: dict[int, BadRow] = {}
        values = []
        for index, (_, line) in enumerate(block):
            fields = [] if isinstance(line, Undecodable) or _is_blank(line) else line.split("\t")
            if fields and header.is_repeated_by(fields):
                problems[index] = BadRow.HEADER
            missing = line if isinstance(line, Undecodable) else "" if not fields else None
            values.append([fields[column] if column < len(fields) else missing for column in header.chosen])
        sides = [[row[side] for row in values] for side in range(wanted.sides)]
        yield RowBatch(str(path), [number for number, _ in block], sides, problems)


def _is_blank(line: str) -> bool:
    return not isinstance(line, Undecodable) and not line.strip()
