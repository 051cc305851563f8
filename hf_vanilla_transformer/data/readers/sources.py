"""What the name of a source stands for: files here, or a data set of the `datasets` library."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets

from ...hub_names import check_hub_name
from .columns import Columns
from .file_formats import Chunk, SampleBy, read_parallel, read_text
from .splits import no_such_source, shard_number, split_files
from .tables import TABLES, table_suffix

ReadFiles = Callable[[], Iterator[Chunk]]
HubDataset = datasets.Dataset | datasets.IterableDataset


def find_pairs(
    source: Any, wanted: Columns, languages: tuple[str, str], split: str, **hub: Any
) -> tuple[str, ReadFiles | HubDataset]:
    """The name of a source of pairs, and how to read it; see `load_pairs` for what it may be."""
    if isinstance(source, (tuple, list)):
        paths = [Path(path) for path in source]
        _must_exist(paths)
        if len(paths) == 2 and not any(map(table_suffix, paths)):
            return f"{paths[0]} and {paths[1]}", lambda: read_parallel(paths)
        return f"{paths[0]} and {len(paths) - 1} more files", _read_tables(paths, wanted)
    if isinstance(source, (str, Path)):
        files = _parallel_files(Path(source), languages)
        if files is None and Path(source).is_dir():
            files = _parallel_files(Path(source) / split, languages)
        if files is not None:
            more = f" and {len(files) - 1} more pairs of files" if len(files) > 1 else ""
            return (
                f"{files[0][0]} and {files[0][1]}{more}",
                lambda: (chunk for both in files for chunk in read_parallel(both)),
            )
    return _find(source, split, lambda paths: _read_tables(paths, wanted), **hub)


def find_texts(
    source: Any, wanted: Columns, sample_by: SampleBy, split: str, **hub: Any
) -> tuple[str, ReadFiles | HubDataset]:
    """The name of a source of texts, and how to read it; see `load_texts` for what it may be."""

    def read(paths: Sequence[Path]) -> ReadFiles:
        def chunks() -> Iterator[Chunk]:
            for path in paths:
                if (suffix := table_suffix(path)) is None:
                    yield from read_text(path, sample_by)
                else:
                    yield from TABLES[suffix](path, wanted)

        return chunks

    if isinstance(source, (tuple, list)):
        return find_rows(source, split, read, config_name=None)
    return _find(source, split, read, **hub)


def find_rows(
    source: Any, split: str, read: Callable[[Sequence[Path]], ReadFiles], *, config_name: str | None
) -> tuple[str, ReadFiles | datasets.Dataset]:
    """The name of a source of any rows, and how to read it.

    Args:
        read: makes the reader of files that were found.
    """
    if isinstance(source, (tuple, list)):
        paths = [Path(path) for path in source]
        _must_exist(paths)
        return (str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more files"), read(paths)
    return _find(source, split, read, config_name=config_name, streaming=False)  # type: ignore[return-value]


def _find(
    source: Any, split: str, read: Callable[[Sequence[Path]], ReadFiles], *, config_name: str | None, streaming: bool
) -> tuple[str, ReadFiles | HubDataset]:
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
        inside = split_files(path, split)
        if inside:
            return f"{path}[{split}]", read(inside)
    else:
        check_hub_name(source, "source")  # type: ignore[arg-type]
    try:
        dataset = datasets.load_dataset(str(source), config_name, split=split, streaming=streaming)
    except (FileNotFoundError, ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise no_such_source(source, "source", error) from error
    return f"{source}[{split}]", dataset


def _must_exist(paths: Sequence[Path]) -> None:
    if not paths:
        raise ValueError("The list of files is empty; give at least one.")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}.")


def _parallel_files(stem: Path, languages: tuple[str, str]) -> list[tuple[Path, Path]] | None:
    """`train` stands for `train.en` and `train.de` (or these with `.gz`, or in shards), if both exist."""
    sides: list[dict[int, Path]] = [{}, {}]
    for file in split_files(stem.parent, stem.name):
        for side, language in zip(sides, languages):
            if file.name.removesuffix(".gz").endswith(f".{language}"):
                side.setdefault(shard_number(file), file)  # the plain file comes before the packed one
    first, second = sides
    if not first or not second:
        return None
    if first.keys() != second.keys():
        lacking = sorted(first.keys() ^ second.keys())
        raise ValueError(f"{stem}: the shards {lacking} exist in one of the languages {languages} only; add them.")
    return [(first[number], second[number]) for number in sorted(first)]


def _read_tables(paths: Sequence[Path], wanted: Columns) -> ReadFiles:
    suffixes = [table_suffix(path) for path in paths]
    for path, suffix in zip(paths, suffixes):
        if suffix is None:
            raise ValueError(
                f"{path} does not say what it holds by its ending; pairs are read from {', '.join(TABLES)}, from two "
                "parallel files given together, and from data sets."
            )

    def chunks() -> Iterator[Chunk]:
        for path, suffix in zip(paths, suffixes):
            yield from TABLES[suffix](path, wanted)  # type: ignore[index]

    return chunks
