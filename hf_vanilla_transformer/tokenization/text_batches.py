"""Batches of training texts from strings, files, folders or data sets, which can be read several times."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from ..text_lines import text_lines, without_compression

_BATCH_SIZE = 1000
_TABLE_SUFFIXES = {".parquet", ".arrow", ".json", ".jsonl", ".ndjson", ".csv", ".tsv"}

# No white space, and at least one directory, or a suffix that names a format or a language.
_FILE_NAME = re.compile(r"(?:\S*[/\\])?[^\s/\\]+\.[A-Za-z0-9_-]{1,8}|\S*[/\\][^\s/\\]+")

TextBatches = Callable[[], Iterator[list[str]]]


def text_batches(texts: Any, columns: Sequence[str] | None = None) -> TextBatches:
    """A function that reads the texts from the beginning at each call.

    Args:
        texts: an iterable of strings (an iterator is first read into memory), a path or a list of paths to text files
            or folders of them (one text per line, also compressed), or a `datasets.Dataset` or `IterableDataset`.
        columns: the text columns of a data set; by default all columns of strings, also those inside of a
            `translation` column.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a file is a table or not UTF-8, a folder has no file, or a data set has no column of strings.
    """
    if isinstance(texts, (datasets.Dataset, datasets.IterableDataset)):
        names = _text_columns(texts, columns)
        return lambda: _dataset_batches(texts, names)
    if columns is not None:
        raise ValueError(f"columns={list(columns)!r} needs a data set, but texts is a {type(texts).__name__}; omit it.")
    if isinstance(texts, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        raise ValueError(f"texts has the splits {list(texts)}; pass one, such as texts[{next(iter(texts))!r}].")
    if isinstance(texts, (str, Path)):
        files = _files([texts])
        return lambda: _batches(_lines(files))
    if isinstance(texts, Iterator):
        texts = list(texts)
    texts = texts if isinstance(texts, Sequence) else list(texts)
    if _are_paths(texts):
        files = _files(texts)
        return lambda: _batches(_lines(files))
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(f"texts must be strings, paths or a data set, but contains {wrong!r}.")
    return lambda: _batches(iter(texts))


def _are_paths(texts: Sequence[Any]) -> bool:
    """Whether a list contains file names instead of texts: all of its strings look like file names."""
    if not texts:
        return False
    # `all` stops at the first sentence, so this is fast for a long list of texts.
    return all(isinstance(text, Path) or (isinstance(text, str) and _FILE_NAME.fullmatch(text)) for text in texts)


def _files(paths: Iterable[str | Path]) -> list[Path]:
    """All text files in `paths`, without hidden files; those of a folder are sorted."""
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
            if not found:
                raise ValueError(f"The folder {path} contains no file to train a tokenizer on.")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f"There is no file or folder {path} to train a tokenizer on.")
    for file in files:
        if Path(without_compression(file.name)).suffix.lower() in _TABLE_SUFFIXES:
            raise ValueError(
                f"{file} is a table, not lines of text: read it with load_pairs, load_texts or datasets.load_dataset, "
                "and pass the data set."
            )
    return files


def _lines(files: list[Path]) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(text_lines(file), start=1):
            if isinstance(line, UnicodeDecodeError):
                raise ValueError(
                    f"{file}:{number} is not UTF-8 ({line.reason}); convert the file, or read it with "
                    "load_texts(..., on_bad_row='skip'), and pass the data set."
                ) from line
            yield line


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, _BATCH_SIZE)):
        yield batch


def _text_columns(dataset: Any, columns: Sequence[str] | None) -> list[str]:
    features = dataset.features
    if features is None:  # a stream that does not declare its columns
        first = next(iter(dataset), None)
        features = datasets.Features() if first is None else {name: _guess(value) for name, value in first.items()}
    if columns is not None:
        missing = [name for name in columns if name not in features]
        if missing:
            raise ValueError(f"The data set has no column {missing[0]!r}; its columns are {sorted(features)}.")
        return list(columns)
    names = [name for name, feature in features.items() if _holds_text(feature)]
    if not names:
        raise ValueError(f"No column of the data set contains text; its columns are {sorted(features)}.")
    return names


def _guess(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _guess(inner) for name, inner in value.items()}
    return datasets.Value("string") if isinstance(value, str) else datasets.Value("null")


def _holds_text(feature: Any) -> bool:
    if isinstance(feature, (datasets.Translation, datasets.TranslationVariableLanguages)):
        return True
    if isinstance(feature, Mapping):
        return bool(feature) and all(_holds_text(inner) for inner in feature.values())
    return isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string")


def _dataset_batches(dataset: Any, columns: list[str]) -> Iterator[list[str]]:
    for batch in dataset.select_columns(columns).iter(batch_size=_BATCH_SIZE):
        for name in columns:
            yield [text for value in batch[name] for text in _strings(value)]


def _strings(value: Any) -> Iterator[str]:
    """The strings in one cell; None contains none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)
