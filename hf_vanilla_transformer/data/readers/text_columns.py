"""Data sets of text columns: in memory, on disk or as a stream, without their bad rows."""

from collections.abc import Callable, Iterator
from typing import Any

import datasets
import pyarrow as pa

from .bad_rows import OnBadRow
from .columns import Columns, value_at
from .row_batch import ROWS_PER_BATCH, RowBatch, field_names
from .row_report import RowReport
from .sources import HubDataset, ReadFiles
from .text_problems import text_problems


def load_text_columns(
    name: str,
    found: ReadFiles | HubDataset,
    wanted: Columns,
    sides: tuple[str, ...],
    *,
    streaming: bool,
    on_bad_row: OnBadRow,
    max_length_ratio: float | None = None,
) -> tuple[HubDataset, RowReport]:
    """The data set of a source that holds only texts.

    Args:
        name: of the source, for the report.
        found: reads files, or is a data set, which stays on disk if it is there.
        wanted: the columns to read, one for each of `sides`.
        sides: the names of the columns in the result.
        streaming, on_bad_row, max_length_ratio: see `load_pairs`.

    Returns:
        The data set with the string columns `sides`, and the report of its rows.
    """
    report = RowReport(name)

    def good_rows(batch: RowBatch) -> list[int]:
        return report.good_rows(batch, text_problems(batch.sides, max_length_ratio), on_bad_row)

    if isinstance(found, datasets.IterableDataset):
        return _stream_of_dataset(_with_sides(found, wanted, sides, name), name, sides, good_rows, report), report
    if isinstance(found, datasets.Dataset):
        dataset = _with_sides(found, wanted, sides, name)
        keep: list[int] = []
        for begin in range(0, len(dataset), ROWS_PER_BATCH):
            rows = dataset[begin : begin + ROWS_PER_BATCH]
            batch = RowBatch(name, range(begin, begin + len(rows[sides[0]])), [rows[side] for side in sides])
            keep += [begin + index for index in good_rows(batch)]
        if len(keep) < len(dataset):  # `select` leaves the rows on disk
            dataset = dataset.select(keep)
    elif streaming:
        return _stream_of_files(found, sides, good_rows, report), report
    else:
        dataset = _in_memory(found, sides, good_rows)
    report.close()
    return dataset, report


def _in_memory(read: ReadFiles, sides: tuple[str, ...], good_rows: Callable[[RowBatch], list[int]]) -> datasets.Dataset:
    schema = pa.schema([(side, pa.string()) for side in sides])
    parts = []
    for batch in read():
        good = good_rows(batch)
        columns = [pa.array([values[index] for index in good], pa.string()) for values in batch.sides]
        parts.append(pa.record_batch(columns, schema=schema))
    return datasets.Dataset(pa.Table.from_batches(parts, schema))


def _stream_of_files(
    read: ReadFiles, sides: tuple[str, ...], good_rows: Callable[[RowBatch], list[int]], report: RowReport
) -> datasets.IterableDataset:
    features = datasets.Features({side: datasets.Value("string") for side in sides})

    def rows() -> Iterator[dict[str, str]]:
        report.clear()
        for batch in read():
            for index in good_rows(batch):
                yield {side: values[index] for side, values in zip(sides, batch.sides)}

    return datasets.IterableDataset.from_generator(rows, features=features)


def _stream_of_dataset(
    dataset: Any, name: str, sides: tuple[str, ...], good_rows: Callable[[RowBatch], list[int]], report: RowReport
) -> datasets.IterableDataset:
    def keep_good(rows: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        if indices[0] == 0:
            report.clear()
        batch = RowBatch(name, indices, [rows[side] for side in sides])
        good = good_rows(batch)
        return {side: [values[index] for index in good] for side, values in zip(sides, batch.sides)}

    return dataset.map(keep_good, batched=True, batch_size=1000, with_indices=True)


def _with_sides(dataset: Any, wanted: Columns, sides: tuple[str, ...], origin: str) -> Any:
    """The data set with only the wanted columns, renamed to `sides`."""
    features = dataset.features
    if features is None:  # a stream that does not declare its columns
        first = next(iter(dataset), None)
        if first is None:
            raise ValueError(f"{origin} is empty; give a source with at least one row.")
        features = datasets.Features.from_arrow_schema(pa.Table.from_pylist([first]).schema)
    names = {name: field_names(feature) for name, feature in features.items()}
    paths = wanted.choose(names, origin)
    dataset = dataset.select_columns(sorted({path[0] for path in paths}))
    if isinstance(dataset, datasets.IterableDataset):
        return dataset.map(
            lambda row: {side: value_at(row, path) for side, path in zip(sides, paths)},
            remove_columns=[name for name in {path[0] for path in paths} if name not in sides],
        )
    dataset = dataset.with_format(None).flatten()
    chosen = [".".join(path) for path in paths]
    dataset = dataset.select_columns(chosen)
    # In two steps, because the new name of a column may be the old name of another one.
    dataset = dataset.rename_columns({name: f"{index}" for index, name in enumerate(chosen)})
    return dataset.rename_columns({f"{index}": side for index, side in enumerate(sides)})
