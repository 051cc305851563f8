"""Sources of rows: which files or which data set of the `datasets` library a source names, and how to read them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets

from ...hub_names import check_hub_name
from ...text_lines import without_compression
from .columns import Columns
from .row_batch import RowBatch, dataset_batches
from .splits import no_such_source, shard_number, split_files
from .tables import TABLES, table_suffix
from .text_files import SampleBy, read_parallel, read_text

# Reads files from their beginning at every call.
ReadFiles = Callable[[], Iterator[RowBatch]]
HubDataset = datasets.Dataset | datasets.IterableDataset
# What a reader takes; `load_pairs` explains it.
Source = str | Path | Sequence[str | Path] | HubDataset | datasets.DatasetDict | datasets.IterableDatasetDict


def find_pairs(
    source: Any, wanted: Columns, languages: tuple[str, str], split: str, *, config_name: str | None, streaming: bool
) -> tuple[str, ReadFiles | HubDataset]:
    """The name of a source of pairs, and the function that reads it or the data set; see `load_pairs`."""
    if isinstance(source, (tuple, list)):
        paths = _existing(source)
        if len(paths) == 2 and not any(map(table_suffix, paths)):
            return f"{paths[0]} and {paths[1]}", lambda: read_parallel(paths)
        return _joint_name(paths), _pair_tables(paths, wanted)
    if isinstance(source, (str, Path)):
        files = _parallel_files(Path(source), languages)
        if files is None and Path(source).is_dir():
            files = _parallel_files(Path(source) / split, languages)
        if files is not None:
            more = f" and {len(files) - 1} more pairs of files" if len(files) > 1 else ""
            return (
                f"{files[0][0]} and {files[0][1]}{more}",
                lambda: (batch for shard in files for batch in read_parallel(shard)),
            )
    return _find(source, split, lambda paths: _pair_tables(paths, wanted), config_name=config_name, streaming=streaming)


def find_texts(
    source: Any, wanted: Columns, sample_by: SampleBy, split: str, *, config_name: str | None, streaming: bool
) -> tuple[str, ReadFiles | HubDataset]:
    """The name of a source of texts, and the function that reads it or the data set; see `load_texts`."""

    def read(paths: Sequence[Path]) -> ReadFiles:
        def batches() -> Iterator[RowBatch]:
            for path in paths:
                if (suffix := table_suffix(path)) is None:
                    yield from read_text(path, sample_by)
                else:
                    yield from TABLES[suffix](path, wanted)

        return batches

    return _find(source, split, read, config_name=config_name, streaming=streaming)


def open_rows(
    source: Any,
    wanted: Columns,
    split: str,
    *,
    config_name: str | None,
    read: Callable[[Sequence[Path]], ReadFiles] | None = None,
    suffixes: Collection[str] = tuple(TABLES),
) -> tuple[str, Iterator[RowBatch]]:
    """The name of a source of rows with the wanted columns, and its rows.

    Args:
        source: as for `load_texts`, but files must be tables.
        wanted: the columns.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub.
        read: makes the function that reads files; by default the suffix of each file chooses its reader.
        suffixes: the formats that can hold such rows.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: a file has another suffix, or the source has no such split.
    """
    read = read or (lambda paths: read_tables(paths, wanted, suffixes))
    name, found = _find(source, split, read, config_name=config_name, streaming=False)
    if isinstance(found, datasets.Dataset):
        return name, dataset_batches(found, wanted, name)
    if isinstance(found, datasets.IterableDataset):
        raise ValueError("The source is an IterableDataset; give a Dataset, files or a name on the Hub.")
    return name, found()


def read_tables(
    paths: Sequence[Path],
    wanted: Columns,
    suffixes: Collection[str] = tuple(TABLES),
    remedy: str = "convert or rename the file",
) -> ReadFiles:
    """The function that reads tables one after the other.

    Args:
        paths: the files.
        wanted: the columns to read.
        suffixes: the formats that are accepted.
        remedy: what the error for another format recommends.

    Raises:
        ValueError: the suffix of a file is not among `suffixes`.
    """
    readers = []
    for path in paths:
        suffix = table_suffix(path)
        if suffix is None or suffix not in suffixes:
            raise ValueError(f"{path} has none of the suffixes {', '.join(suffixes)}; {remedy}.")
        readers.append(TABLES[suffix])
    return lambda: (batch for reader, path in zip(readers, paths) for batch in reader(path, wanted))


def _find(
    source: Any, split: str, read: Callable[[Sequence[Path]], ReadFiles], *, config_name: str | None, streaming: bool
) -> tuple[str, ReadFiles | HubDataset]:
    if isinstance(source, (tuple, list)):
        paths = _existing(source)
        return _joint_name(paths), read(paths)
    if isinstance(source, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        if split not in source:
            raise ValueError(f"The data set has no split {split!r}; it has {list(source)}.")
        return f"data set [{split}]", source[split]
    if isinstance(source, (datasets.Dataset, datasets.IterableDataset)):
        return "data set", source
    if not isinstance(source, (str, Path)):
        raise ValueError(f"The source must be a path, a name on the Hub or a data set, but is {source!r}.")
    path = Path(source)
    if path.is_file():
        return str(path), read([path])
    if path.is_dir():
        files = split_files(path, split)
        if files:
            return f"{path}[{split}]", read(files)
    else:
        check_hub_name(source, "source")  # type: ignore[arg-type]
    try:
        dataset = datasets.load_dataset(str(source), config_name, split=split, streaming=streaming)
    except (FileNotFoundError, ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise no_such_source(source, "source", error) from error
    return f"{source}[{split}]", dataset


def _existing(source: Sequence[str | Path]) -> list[Path]:
    paths = [Path(path) for path in source]
    if not paths:
        raise ValueError("source=[] is an empty list of files; give at least one.")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}; give existing files as source.")
    return paths


def _joint_name(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more files"


def _parallel_files(stem: Path, languages: tuple[str, str]) -> list[tuple[Path, Path]] | None:
    """`train.en` and `train.de` for `train`, also compressed or in shards; None unless both languages exist."""
    sides: list[dict[int, Path]] = [{}, {}]
    for file in split_files(stem.parent, stem.name):
        for side, language in zip(sides, languages):
            if without_compression(file.name).endswith(f".{language}"):
                side.setdefault(shard_number(file), file)  # `train.en` comes before `train.en.gz`
    first, second = sides
    if not first or not second:
        return None
    if first.keys() != second.keys():
        lacking = sorted(first.keys() ^ second.keys())
        raise ValueError(f"{stem}: the shards {lacking} exist in one of the languages {languages} only; add them.")
    return [(first[number], second[number]) for number in sorted(first)]


def _pair_tables(paths: Sequence[Path], wanted: Columns) -> ReadFiles:
    return read_tables(paths, wanted, remedy="convert or rename the file, or give two parallel files together")
