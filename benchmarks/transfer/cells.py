"""Cells: the runs of a benchmark, each with a JSON file of its result, so that a broken-off benchmark goes on."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..records import RESULTS, machine, read_json, write_json, write_text


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        name: of its file; no two of a benchmark are alike.
        fields: what it is (arm, labels, seed); written into the file.
        run: does it, and returns what was measured.
        needs: measurements that a record must hold; one that lacks some is made again.
    """

    name: str
    fields: Mapping[str, Any]
    run: Callable[[], Mapping[str, Any]]
    needs: Sequence[str] = ()


def run_cells(cells: Sequence[Cell], folder: Path) -> list[dict[str, Any]]:
    """Runs the cells that have no file yet, in order, and returns the records of all.

    Args:
        cells: what there is to do.
        folder: of the files.

    Raises:
        ValueError: two cells have the same name.
    """
    names = [cell.name for cell in cells]
    if len(set(names)) < len(names):
        raise ValueError(f"Two cells are called {next(name for name in names if names.count(name) > 1)!r}.")
    waiting = [cell for cell in cells if not _complete(cell, folder)]
    say(f"{len(cells) - len(waiting)} of {len(cells)} cells are done; results in {folder}")
    began = time.monotonic()
    for number, cell in enumerate(waiting):
        started = time.monotonic()
        left = (started - began) / number * (len(waiting) - number) if number else None
        say(f"[{number + 1}/{len(waiting)}] {cell.name}" + (f", about {left / 60:.0f} minutes left" if left else ""))
        measured = dict(cell.run())
        record = {"cell": cell.name, **cell.fields, **measured, "seconds": round(time.monotonic() - started, 1)}
        write_json(folder / f"{cell.name}.json", {**record, "machine": machine()})
    return [read_json(folder / f"{name}.json") for name in names]


def _complete(cell: Cell, folder: Path) -> bool:
    file = folder / f"{cell.name}.json"
    return file.is_file() and all(name in read_json(file) for name in cell.needs)


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of the sample; 0 for a single value)."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def grouped(records: Iterable[Mapping[str, Any]], names: Sequence[str], value: str) -> dict[tuple, list[float]]:
    """The values of all records that agree in the fields `names`, in order."""
    groups: dict[tuple, list[float]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in names), []).append(record[value])
    return groups


def shown(values: Sequence[float] | None, *, percent: bool = True) -> str:
    """Mean ± standard deviation, as percent; a single value alone."""
    if not values:
        return ""
    mean, spread = mean_and_spread(values)
    scale = 100 if percent else 1
    return f"{scale * mean:.1f}" + (f" ± {scale * spread:.1f}" if len(values) > 1 else "")


def common_arguments(parser: argparse.ArgumentParser, folder: str) -> None:
    """Options that all benchmarks of this folder have."""
    parser.add_argument("--folder", type=Path, default=Path(folder), help="bodies and cells (default: %(default)s)")
    parser.add_argument("--results", type=Path, help="where table and plot go (default: benchmarks/results)")
    parser.add_argument("--quick", action="store_true", help="a fraction of everything, to see that it works")
    parser.add_argument(
        "--continue", dest="goes_on", action="store_true",
        help="runs that the record among the results holds, of the same setting, are not done again",
    )  # fmt: skip
    parser.add_argument("--table", action="store_true", help="run nothing; make table and plot of what is there")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32",
        help="of all training; bf16 takes half the time where the processor multiplies it, and far longer elsewhere",
    )  # fmt: skip


def folder_name(name: str, options: argparse.Namespace) -> str:
    """Of a benchmark's bodies and cells: what is trained in another way lies elsewhere."""
    marks = ["quick"] * options.quick + [options.precision] * (options.precision != "fp32")
    return "-".join([name, *marks])


def record_file(name: str, folder: Path, options: argparse.Namespace, quick: str = "_quick") -> Path:
    """Where a benchmark's record goes; that of a trial stays with its runs, and is called so."""
    target = options.results or (folder if options.quick else RESULTS)
    return target / f"{name}{quick if options.quick else ''}.json"


def write_record(file: Path, record: Mapping[str, Any], table: str, also: str = "") -> None:
    """Writes a record and its table beside it, shows the table, and says where both are.

    Args:
        file: of the record.
        record: what was measured.
        table: of it, as Markdown.
        also: what else there is to see, behind the names of the files.
    """
    write_json(file, record)
    write_text(file.with_suffix(".md"), f"{table}\n")
    print(table)
    say(f"written: {file}, {file.with_suffix('.md').name}{also}")


def results_of(
    chosen: Sequence[Cell], every: Sequence[Cell], folder: Path, file: Path, setting: Mapping[str, Any],
    options: argparse.Namespace,
) -> list[dict[str, Any]]:  # fmt: skip
    """What a benchmark shows: the cells that were asked for are run, and all that are done are told.

    Args:
        chosen: what is run, unless `--table` was given.
        every: what may be done already.
        folder: of the cells.
        file: the benchmark's record, which `--continue` reads.
        setting: what the cells have in common, as it is recorded.
        options: of `common_arguments`.

    Raises:
        SystemExit: no cell is done.
    """
    if options.goes_on:
        take_over(file, folder, setting)
    if not options.table:
        run_cells(chosen, folder)
    records = finished(every, folder)
    if not records:
        needed = sorted({name for cell in every for name in cell.needs}) or ["a result"]
        raise SystemExit(f"no cell in {folder} has {' or '.join(needed)} yet")
    return records


def take_over(file: Path, folder: Path, setting: Mapping[str, Any]) -> int:
    """Writes the cells of a record to `folder`, where they are missing: bodies that are lost need not be results lost.

    Args:
        file: a benchmark's record; there may be none.
        folder: of the cells.
        setting: of this benchmark. A record of another one is left alone.

    Returns:
        How many cells were written.
    """
    record = read_json(file) if file.is_file() else {}
    if record.get("setting") != json.loads(json.dumps(setting)):
        return 0
    missing = [cell for cell in record["cells"] if not (folder / f"{cell['cell']}.json").is_file()]
    for cell in missing:
        write_json(folder / f"{cell['cell']}.json", cell)
    say(f"{len(missing)} cells are taken from {file}")
    return len(missing)


def finished(cells: Sequence[Cell], folder: Path) -> list[dict[str, Any]]:
    """The records of the cells that are done."""
    return [read_json(folder / f"{cell.name}.json") for cell in cells if _complete(cell, folder)]
