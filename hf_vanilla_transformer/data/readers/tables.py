"""The reader of each table format, by the suffix of the file."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ...text_lines import without_compression
from .columns import Columns
from .conllu import read_conllu
from .csv_files import read_csv
from .json_lines import read_json_lines
from .parquet_files import read_parquet
from .row_batch import RowBatch
from .tsv_files import read_tsv

TABLES: dict[str, Callable[[Path, Columns], Iterator[RowBatch]]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_tsv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json_lines,
    ".parquet": read_parquet,
    ".conllu": read_conllu,
}


def table_suffix(path: Path) -> str | None:
    """The key of `path` in `TABLES`, whether it is compressed or not; None if it is not a table."""
    suffix = Path(without_compression(path.name)).suffix.lower()
    return suffix if suffix in TABLES else None
