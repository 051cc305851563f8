"""Cells: the runs of a benchmark, each with a JSON file of its results, so that an interrupted benchmark resumes."""

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
        name: unique name, which is also the name of its file.
        fields: description of the cell (arm, labels, seed); part of its record.
        run: function that runs it and returns the measurements.
        needs: measurements that its record must contain; a cell without them is run again.
    """

    name: str
    fields: Mapping[str, Any]
    run: Callable[[], Mapping[str, Any]]
    needs: Sequence[str] = ()


def run_cells(cells: Sequence[Cell], folder: Path) -> list[dict[str, Any]]:
    """Runs the cells that have no file yet, in order, and returns the records of all.

    Args:
        cells: the cells to run.
        folder: folder of the files.

    Raises:
        ValueError: two cells have the same name.
    """
    names = [cell.name for cell in cells]
    if len(set(names)) < len(names):
        raise ValueError(f"Two cells have the name {next(name for name in names if names.count(name) > 1)!r}.")
    missing = [cell for cell in cells if not _complete(cell, folder)]
    say(f"{len(cells) - len(missing)} of {len(cells)} cells are done; results in {folder}")
    began = time.monotonic()
    for number, cell in enumerate(missing):
        started = time.monotonic()
        left = (started - began) / number * (len(missing) - number) if number else None
        say(f"[{number + 1}/{len(missing)}] {cell.name}" + (f", about {left / 60:.0f} minutes left" if left else ""))
        measured = dict(cell.run())
        record = {"cell": cell.name, **cell.fields, **measured, "seconds": round(time.monotonic() - started, 1)}
        write_json(folder / f"{cell.name}.json", {**record, "machine": machine()})
    return [read_json(folder / f"{name}.json") for name in names]


def _complete(cell: Cell, folder: Path) -> bool:
    file = folder / f"{cell.name}.json"
    return file.is_file() and all(name in read_json(file) for name in cell.needs)


def say(text: str) -> None:
    """Prints a line of progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of the sample; 0 for a single value)."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def grouped(records: Iterable[Mapping[str, Any]], names: Sequence[str], value: str) -> dict[tuple, list[float]]:
    """The values of the records, grouped by their fields `names`."""
    groups: dict[tuple, list[float]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in names), []).append(record[value])
    return groups


def shown(values: Sequence[float] | None, *, percent: bool = True) -> str:
    """Mean ± standard deviation in percent; only the value if there is one."""
    if not values:
        return ""
    mean, spread = mean_and_spread(values)
    scale = 100 if percent else 1
    return f"{scale * mean:.1f}" + (f" ± {scale * spread:.1f}" if len(values) > 1 else "")


def common_arguments(parser: argparse.ArgumentParser, folder: str) -> None:
    """Adds the options that the benchmarks of this folder share."""
    parser.add_argument(
        "--folder", type=Path, default=Path(folder), help="folder for models and cells (default: %(default)s)"
    )
    parser.add_argument("--results", type=Path, help="folder for table and plot (default: benchmarks/results)")
    parser.add_argument("--quick", action="store_true", help="run on a fraction of the data, to test that it works")
    parser.add_argument(
        "--continue", dest="reuse_record", action="store_true",
        help="do not repeat runs of the same setting that are in the record among the results",
    )  # fmt: skip
    parser.add_argument("--table", action="store_true", help="only make table and plot of the finished cells")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32",
        help="precision of all training; bf16 is twice as fast where the processor multiplies it, else much slower",
    )  # fmt: skip


def folder_name(name: str, options: argparse.Namespace) -> str:
    """The name of a benchmark's folder; `--quick` and `--precision` have folders of their own."""
    suffixes = ["quick"] * options.quick + [options.precision] * (options.precision != "fp32")
    return "-".join([name, *suffixes])


def record_file(name: str, folder: Path, options: argparse.Namespace, quick: str = "_quick") -> Path:
    """The file of a benchmark's record; that of `--quick` is in the folder of its runs, with a name that says so."""
    target = options.results or (folder if options.quick else RESULTS)
    return target / f"{name}{quick if options.quick else ''}.json"


def write_record(file: Path, record: Mapping[str, Any], table: str, also: str = "") -> None:
    """Writes a record and its table, and prints the table and the names of the files.

    Args:
        file: file of the record.
        record: the measurements.
        table: the table in Markdown.
        also: text to print after the names of the files.
    """
    write_json(file, record)
    write_text(file.with_suffix(".md"), f"{table}\n")
    print(table)
    say(f"written: {file}, {file.with_suffix('.md').name}{also}")


def results_of(
    chosen: Sequence[Cell], every: Sequence[Cell], folder: Path, file: Path, setting: Mapping[str, Any],
    options: argparse.Namespace,
) -> list[dict[str, Any]]:  # fmt: skip
    """Runs the chosen cells, and returns the records of all finished cells.

    Args:
        chosen: cells to run, unless `--table` is given.
        every: all cells of the benchmark, which may be finished already.
        folder: folder of the cells.
        file: the benchmark's record, which `--continue` reads.
        setting: the setting that the cells share, as in the record.
        options: of `common_arguments`.

    Raises:
        SystemExit: no cell is finished.
    """
    if options.reuse_record:
        take_over(file, folder, setting)
    if not options.table:
        run_cells(chosen, folder)
    records = finished(every, folder)
    if not records:
        needed = sorted({name for cell in every for name in cell.needs}) or ["a result"]
        raise SystemExit(f"No cell in {folder} has {' or '.join(needed)} yet: run the benchmark without --table.")
    return records


def take_over(file: Path, folder: Path, setting: Mapping[str, Any]) -> int:
    """Writes the cells of a record to `folder` if they are missing there, so that they need not be run again.

    Args:
        file: a benchmark's record; it need not exist.
        folder: folder of the cells.
        setting: setting of this benchmark; a record with another setting is ignored.

    Returns:
        Number of cells that were written.
    """
    record = read_json(file) if file.is_file() else {}
    if record.get("setting") != json.loads(json.dumps(setting)):
        return 0
    missing = [cell for cell in record["cells"] if not (folder / f"{cell['cell']}.json").is_file()]
    for cell in missing:
        write_json(folder / f"{cell['cell']}.json", cell)
    say(f"{len(missing)} cells copied from {file}")
    return len(missing)


def finished(cells: Sequence[Cell], folder: Path) -> list[dict[str, Any]]:
    """The records of the finished cells."""
    return [read_json(folder / f"{cell.name}.json") for cell in cells if _complete(cell, folder)]
