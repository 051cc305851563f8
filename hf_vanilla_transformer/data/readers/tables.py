"""Which reader a file is for, by its ending."""

from collections.abc import Callable, Iterator
from pathlib import Path

from .columns import Columns
from .conllu import read_conllu
from .csv_files import read_csv
from .file_formats import Chunk, read_json_lines, read_parquet, read_tsv

# The readers by the ending of a file.
TABLES: dict[str, Callable[[Path, Columns], Iterator[Chunk]]] = {
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
    """The ending of `path` that says which table it is, `.gz` left aside; None if it is no table."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return suffix.lower() if suffix.lower() in TABLES else None
