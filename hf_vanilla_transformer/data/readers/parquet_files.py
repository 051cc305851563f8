"""Parquet files, with the column types of the `datasets` library if it wrote them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...text_lines import without_compression
from . import columns
from .columns import Columns, dotted
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable, features_at


def read_parquet(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads columns, or fields of columns of structures such as `translation`."""
    if without_compression(path.name) != path.name:
        raise ValueError(f"{path} is a compressed Parquet file, which cannot be read: decompress it.")
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file, or it is cut off ({error}): download it again.") from error
    with file, _explained(path):
        schema = file.schema_arrow
        paths = wanted.choose({column.name: _struct_fields(column.type) for column in schema}, str(path))
        if repeated := [one[0] for one in paths if schema.names.count(one[0]) > 1]:
            raise ValueError(f"{path} has several columns with the name {repeated[0]!r}: rename all but one.")
        features: tuple[Any, ...] = ()
        if b"huggingface" in (schema.metadata or {}):
            features = features_at(datasets.Features.from_arrow_schema(schema), paths)
        row = 0
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=sorted({one[0] for one in paths})):
            sides = [_arrow_values(batch.column(one[0]), one[1:]) for one in paths]
            numbers = range(row, row + batch.num_rows)
            yield RowBatch(str(path), numbers, sides, features=features, columns=dotted(paths))
            row += batch.num_rows


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Names the file in the errors of damaged pages, which Arrow finds when it reads them."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system
            raise
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())}): download it again.") from error


def _struct_fields(kind: pa.DataType) -> dict[str, None]:
    return dict.fromkeys(inner.name for inner in kind) if pa.types.is_struct(kind) else {}


def _arrow_values(column: pa.Array, path: columns.Path) -> list[Any]:
    for name in path:
        column = pc.struct_field(column, name)
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # Arrow does not check its strings when it reads a file
        return [None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return Undecodable()
