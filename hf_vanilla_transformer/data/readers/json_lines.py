"""JSON lines: one object per line."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from . import columns
from .bad_rows import BadRow
from .columns import Columns, value_at
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable
from .text_files import lines


def read_json_lines(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads one JSON object per line; the keys of the first objects choose the columns."""
    rows = enumerate(lines(path), start=1)
    paths: tuple[columns.Path, ...] | None = None
    while block := list(islice(rows, ROWS_PER_BATCH)):
        problems: dict[int, BadRow] = {}
        objects: list[Any] = []
        for index, (_, line) in enumerate(block):
            value = None
            if isinstance(line, Undecodable):
                problems[index] = BadRow.NOT_UTF8  # there is no object whose values could show it
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
        yield RowBatch(str(path), [number for number, _ in block], sides, problems)


def _known_columns(objects: list[Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for value in objects:
        for name, inner in (value or {}).items():
            known[name] = {**known.get(name, {}), **inner} if isinstance(inner, dict) else known.get(name) or {}
    return known
