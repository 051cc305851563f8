"""JSON lines: one object per line."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from . import columns
from .bad_rows import BadRow
from .columns import Columns, dotted, value_at
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable
from .text_files import lines


def read_json_lines(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads one JSON object per line, or one JSON array of objects; the keys of the first objects choose the columns.

    The rows of an array are numbered from 0.

    Raises:
        ValueError: the columns do not exist, or the file is one JSON object that spans several lines.
    """
    rows = _rows(path)
    paths: tuple[columns.Path, ...] | None = None
    while block := list(islice(rows, ROWS_PER_BATCH)):
        problems: dict[int, BadRow] = {}
        objects: list[Any] = []
        for index, (_, line) in enumerate(block):
            value = None
            if not isinstance(line, str):  # an item of an array
                problems |= {} if isinstance(line, dict) else {index: BadRow.NOT_JSON}
                value = line if isinstance(line, dict) else None
            elif isinstance(line, Undecodable):
                problems[index] = BadRow.NOT_UTF8  # there is no object whose values could show it
            elif not line.strip():
                problems[index] = BadRow.EMPTY
            else:
                value = _object(line)
                if value is None:
                    problems[index] = BadRow.NOT_JSON
            objects.append(value)
        if paths is None and (known := _known_columns(objects)):
            paths = wanted.choose(known, str(path))
            if (
                len(block) == 1
                and not wanted.named
                and all(isinstance(value_at(objects[0], one), list) for one in paths)
            ):
                raise ValueError(
                    f"{path} is one JSON object whose columns are lists, not rows. Write one object per line (JSON "
                    "lines), or an array of objects."
                )
        names = dotted(paths) if paths is not None else ()
        if paths is None:
            sides = [[None] * len(block) for _ in range(wanted.sides)]
        else:
            sides = [[value_at(value, one) for value in objects] for one in paths]
        yield RowBatch(str(path), [number for number, _ in block], sides, problems, columns=names)


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Each line of the file with its number, or each item of the array that the file contains with its index."""
    numbered = enumerate(lines(path), start=1)
    first = next(((number, line) for number, line in numbered if line.strip()), None)
    if first is None:
        return iter(enumerate(lines(path), start=1))
    begin = first[1].lstrip()[0]
    if begin not in "[{":
        return iter(enumerate(lines(path), start=1))
    alone = all(not line.strip() for _, line in numbered)  # whether the file has no other line
    if begin == "{" and _object(first[1]) is not None and not alone:
        return iter(enumerate(lines(path), start=1))
    try:
        value = json.loads("\n".join(lines(path)))
    except (ValueError, RecursionError):
        return iter(enumerate(lines(path), start=1))  # lines, of which the first is bad
    if isinstance(value, list):
        return iter(enumerate(value))
    if alone and not any(isinstance(inner, list) and inner and isinstance(inner[0], dict) for inner in value.values()):
        return iter([first])
    raise ValueError(
        f"{path} is one JSON object with the keys {list(value)[:5]}, not rows. Write one object per line (JSON lines), "
        "or an array of objects."
    )


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object in a line; None if there is none. A number or a nesting may also exceed what Python reads."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _known_columns(objects: list[Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for value in objects:
        for name, inner in (value or {}).items():
            known[name] = {**known.get(name, {}), **inner} if isinstance(inner, dict) else known.get(name) or {}
    return known
