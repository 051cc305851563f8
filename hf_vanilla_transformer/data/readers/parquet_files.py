"""Parquet files, with the column types of the `datasets` library if it wrote them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import columns
from .columns import Columns, dotted
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable, features_at


def read_parquet(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads columns, or fields of columns of structures such as `translation`."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    with file:
        schema = file.schema_arrow
        paths = wanted.choose({name: _struct_fields(schema.field(name).type) for name in schema.names}, str(path))
        features: tuple[Any, ...] = ()
        if b"huggingface" in (schema.metadata or {}):
            features = features_at(datasets.Features.from_arrow_schema(schema), paths)
        row = 0
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=sorted({one[0] for one in paths})):
            sides = [_arrow_values(batch.column(one[0]), one[1:]) for one in paths]
            numbers = range(row, row + batch.num_rows)
            yield RowBatch(str(path), numbers, sides, features=features, columns=dotted(paths))
            row += batch.num_rows


def _struct_fields(kind: pa.DataType) -> dict[str, None]:
    return dict.fromkeys(inner.name for inner in kind) if pa.types.is_struct(kind) else {}


def _arrow_values(column: pa.Array, path: columns.Path) -> list[Any]:
    for name in path:
        column = pc.struct_field(column, name)
    if pa.types.is_decimal(column.type):  # numbers of a database
        column = column.cast(pa.float64())
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # Arrow does not check its strings when it reads a file
        return [None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return Undecodable()
