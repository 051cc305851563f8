"""Pairs and texts out of files, folders and the Hub, each bad row accounted for."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import pyarrow as pa

from .columns import Columns, value_at
from .file_formats import CHUNK, Chunk, SampleBy, Undecodable
from .row_report import BadRow, RowReport
from .sources import HubDataset, ReadFiles, find_pairs, find_texts

Source = str | Path | Sequence[str | Path] | HubDataset | datasets.DatasetDict | datasets.IterableDatasetDict
OnBadRow = Literal["skip", "error"]


def load_pairs(
    source: Source,
    *,
    languages: tuple[str, str] = ("en", "de"),
    source_column: str | int | None = None,
    target_column: str | int | None = None,
    split: str = "train",
    config_name: str | None = None,
    streaming: bool = False,
    on_bad_row: OnBadRow = "skip",
    max_length_ratio: float | None = 9.0,
) -> tuple[HubDataset, RowReport]:
    """Read pairs of sentences.

    Args:
        source: one of

            * a file: `.tsv`, JSON lines (`.jsonl`, `.ndjson`, `.json`) or `.parquet`, text also as `.gz`; or a list of
              such files;
            * two parallel files, `("train.en", "train.de")`, or what their names have in common, `"train"`;
            * a folder with a file or two parallel files called after the split, or any folder `datasets` reads;
            * a name on the Hub; or a data set that is loaded already.
        languages: source and target language: the fields of the column `translation`, or the columns, to take. Columns
            called `source` and `target` are found too. Without a header a TSV file has source and target in its first
            two columns.
        source_column: name (or number, for TSV) of the column of the source, if it is none of these.
        target_column: the same for the target.
        split: which split of a folder or data set.
        config_name: which configuration of a data set on the Hub, such as `"de-en"`.
        streaming: read while iterating, without holding or downloading everything: the data set is an
            `IterableDataset`, and the report fills while it is read (begun anew by each pass).
        on_bad_row: leave bad rows out, counting them, or raise at the first one.
        max_length_ratio: a row whose one side has more than so many times the characters of the other is bad; None
            allows all. The default lets every plausible pair of languages pass.

    Returns:
        The data set with the string columns `source` and `target`, and the account of what was read.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such columns, not one good row, a bad row with `on_bad_row="error"`, or an illegal argument.
    """
    _check(on_bad_row, max_length_ratio)
    wanted = Columns.of_pairs(source_column, target_column, languages)
    name, found = find_pairs(source, wanted, languages, split, config_name=config_name, streaming=streaming)
    return _load(name, found, wanted, ("source", "target"), streaming, on_bad_row, max_length_ratio)


def load_texts(
    source: Source,
    *,
    column: str | int | None = None,
    split: str = "train",
    config_name: str | None = None,
    sample_by: SampleBy = "line",
    streaming: bool = False,
    on_bad_row: OnBadRow = "skip",
) -> tuple[HubDataset, RowReport]:
    """Read texts, for language models.

    Args:
        source: a file, a list of files or a folder, or the name of a data set on the Hub, or a data set, as for
            `load_pairs`. What is no table is plain text.
        column: the column of a table that holds the text, by default `text`.
        split: which split of a folder or data set.
        config_name: which configuration of a data set on the Hub.
        sample_by: plain text only, what one row is: a line, a paragraph (up to a blank line) or a whole file.
        streaming: as for `load_pairs`.
        on_bad_row: as for `load_pairs`.

    Returns:
        The data set with the string column `text`, and the account of what was read.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such column, not one good row, a bad row with `on_bad_row="error"`, or an illegal argument.
    """
    _check(on_bad_row, None)
    if sample_by not in ("line", "paragraph", "document"):
        raise ValueError(f"sample_by must be 'line', 'paragraph' or 'document', but is {sample_by!r}.")
    wanted = Columns.of_texts(column)
    name, found = find_texts(source, wanted, sample_by, split, config_name=config_name, streaming=streaming)
    return _load(name, found, wanted, ("text",), streaming, on_bad_row, None)


def _check(on_bad_row: str, max_length_ratio: float | None) -> None:
    if on_bad_row not in ("skip", "error"):
        raise ValueError(f"on_bad_row must be 'skip' or 'error', but is {on_bad_row!r}.")
    if max_length_ratio is not None and max_length_ratio < 1:
        raise ValueError(f"max_length_ratio must be at least 1, or None, but is {max_length_ratio}.")


def _load(
    name: str,
    found: ReadFiles | HubDataset,
    wanted: Columns,
    sides: tuple[str, ...],
    streaming: bool,
    on_bad_row: OnBadRow,
    max_length_ratio: float | None,
) -> tuple[HubDataset, RowReport]:
    report = RowReport(name)

    def good_rows(chunk: Chunk) -> list[int]:
        return _good_rows(chunk, report, on_bad_row, max_length_ratio)

    if isinstance(found, datasets.IterableDataset):
        return _stream(_named(found, wanted, sides, name), name, sides, good_rows, report), report
    if isinstance(found, datasets.Dataset):
        dataset = _named(found, wanted, sides, name)
        keep: list[int] = []
        for begin in range(0, len(dataset), CHUNK):
            batch = dataset[begin : begin + CHUNK]
            chunk = Chunk(name, range(begin, begin + len(batch[sides[0]])), [batch[side] for side in sides])
            keep += [begin + index for index in good_rows(chunk)]
        if len(keep) < len(dataset):  # the rows stay where they are, on disk
            dataset = dataset.select(keep)
    elif streaming:
        features = datasets.Features({side: datasets.Value("string") for side in sides})

        def rows() -> Iterator[dict[str, str]]:
            report.clear()
            for chunk in found():
                for index in good_rows(chunk):
                    yield {side: values[index] for side, values in zip(sides, chunk.sides)}

        return datasets.IterableDataset.from_generator(rows, features=features), report
    else:
        schema = pa.schema([(side, pa.string()) for side in sides])
        batches = []
        for chunk in found():
            good = good_rows(chunk)
            columns = [pa.array([values[index] for index in good], pa.string()) for values in chunk.sides]
            batches.append(pa.record_batch(columns, schema=schema))
        dataset = datasets.Dataset(pa.Table.from_batches(batches, schema))
    report.close()
    return dataset, report


def _good_rows(chunk: Chunk, report: RowReport, on_bad_row: OnBadRow, max_length_ratio: float | None) -> list[int]:
    """The indices of the good rows of a chunk; the others go into the report, or raise."""
    problems = {**text_problems(chunk.sides, max_length_ratio), **chunk.problems}
    report.rows += len(chunk.numbers)
    if not problems:
        return list(range(len(chunk.numbers)))
    for index in sorted(problems):
        shown = functools.partial(_shown, [values[index] for values in chunk.sides])
        report.leave_out(problems[index], f"{chunk.place}:{chunk.numbers[index]}", on_bad_row, shown)
    return [index for index in range(len(chunk.numbers)) if index not in problems]


def text_problems(sides: list[list[Any]], max_length_ratio: float | None = None) -> dict[int, BadRow]:
    """What is wrong with rows of texts, by their index; rows that are not in it are good."""
    problems: dict[int, BadRow] = {}
    for values in sides:
        for index, value in enumerate(values):
            if isinstance(value, str) and value and not value.isspace():
                continue
            if value is None:
                problems[index] = BadRow.MISSING
            elif isinstance(value, Undecodable):
                problems[index] = BadRow.NOT_UTF8
            else:
                problems.setdefault(index, BadRow.EMPTY if isinstance(value, str) else BadRow.NOT_TEXT)
        for index in _not_encodable(values):
            problems.setdefault(index, BadRow.NOT_UTF8)
    if len(sides) == 2 and max_length_ratio is not None:
        sound = [index not in problems for index in range(len(sides[0]))]
        lengths = np.array([[len(value) if good else 1 for value, good in zip(side, sound)] for side in sides])
        absurd = lengths.max(axis=0) > max_length_ratio * lengths.min(axis=0)
        problems.update(dict.fromkeys(np.flatnonzero(absurd).tolist(), BadRow.LENGTH_RATIO))
    return problems


def _not_encodable(values: list[Any]) -> list[int]:
    """Strings that no file can hold: JSON can spell half a surrogate pair."""
    texts = [value if isinstance(value, str) else "" for value in values]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return [
            index for index, text in enumerate(texts) if any("\ud800" <= character <= "\udfff" for character in text)
        ]
    return []


def _shown(values: list[Any]) -> str:
    shown = ["undecodable" if isinstance(value, Undecodable) else repr(value) for value in values]
    return ", ".join(text if len(text) <= 60 else text[:57] + "..." for text in shown)


def _named(dataset: Any, wanted: Columns, sides: tuple[str, ...], place: str) -> Any:
    """The data set with the chosen columns only, called after the sides."""
    features = dataset.features
    if features is None:  # a stream whose columns are not declared
        first = next(iter(dataset), None)
        if first is None:
            raise ValueError(f"{place} is empty; give a source with at least one row.")
        features = datasets.Features.from_arrow_schema(pa.Table.from_pylist([first]).schema)
    names = {name: _field_names(feature) for name, feature in features.items()}
    paths = wanted.choose(names, place)
    dataset = dataset.select_columns(sorted({path[0] for path in paths}))
    if isinstance(dataset, datasets.IterableDataset):
        return dataset.map(
            lambda row: {side: value_at(row, path) for side, path in zip(sides, paths)},
            remove_columns=[name for name in {path[0] for path in paths} if name not in sides],
        )
    dataset = dataset.with_format(None).flatten()
    chosen = [".".join(path) for path in paths]
    dataset = dataset.select_columns(chosen)
    # Two steps, because a column may have the name that another one is to get.
    dataset = dataset.rename_columns({name: f"{index}" for index, name in enumerate(chosen)})
    return dataset.rename_columns({f"{index}": side for index, side in enumerate(sides)})


def _field_names(feature: Any) -> dict[str, None]:
    if isinstance(feature, datasets.Translation):
        return dict.fromkeys(feature.languages)
    return dict.fromkeys(feature) if isinstance(feature, dict) else {}


def _stream(
    dataset: Any, name: str, sides: tuple[str, ...], good_rows: Callable[[Chunk], list[int]], report: RowReport
) -> Any:
    def keep_good(batch: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        if indices[0] == 0:
            report.clear()
        chunk = Chunk(name, indices, [batch[side] for side in sides])
        good = good_rows(chunk)
        return {side: [values[index] for index in good] for side, values in zip(sides, chunk.sides)}

    return dataset.map(keep_good, batched=True, batch_size=1000, with_indices=True)
