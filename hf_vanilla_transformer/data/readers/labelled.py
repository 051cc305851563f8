"""Texts with a label out of files, folders and the Hub, each row that has none accounted for."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .columns import Columns
from .csv_files import CsvFormat, read_csv
from .file_formats import CHUNK, Chunk, Undecodable
from .row_report import BadRow, RowReport
from .sources import find_rows
from .splits import split_files
from .tables import TABLES, table_suffix
from .unlabelled import Source, text_problems

# Tried in this order where the user names no column.
TEXT_COLUMNS = ("text", "sentence", "review", "document", "content", "텍스트", "문장", "리뷰", "내용")
PAIR_COLUMNS = (
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
)
LABEL_COLUMNS = ("label", "labels", "class", "category", "sentiment", "score", "target", "라벨", "레이블", "분류")


def load_labelled(
    source: Source,
    *,
    text_column: str | int | None = None,
    pair_column: str | int | None = None,
    label_column: str | int | None = None,
    pairs: bool = False,
    split: str = "train",
    config_name: str | None = None,
    csv_format: CsvFormat | None = None,
    on_bad_row: Literal["skip", "error"] = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads texts (or pairs of texts) with one label column of any type.

    Args:
        source: a file (`.csv`, `.tsv`, JSON lines, `.parquet`), a list of such files, a folder with a file called after
            the split, a name on the Hub or a data set, as `load_texts` takes them. A file with another ending is read
            as CSV if `csv_format` is given.
        text_column: name of the column, or its number (CSV and TSV, from 0); by default the first there is of
            `TEXT_COLUMNS`. A CSV file without a header has text and label in its first columns.
        pair_column: the second text of a pair.
        label_column: by default the first there is of `LABEL_COLUMNS`.
        pairs: look for two texts even if `pair_column` is not given.
        split: which split of a folder or data set.
        config_name: which configuration of a data set on the Hub.
        csv_format: delimiter, encoding and header of a CSV file; by default they are found out, and UTF-8.
        on_bad_row: leave rows without text or label out, counting them, or raise at the first one.

    Returns:
        The data set with the columns `text`, `text_pair` (pairs only) and `label`, and the account of what was read.
        Labels keep their type: texts (stripped), numbers, lists, or a `ClassLabel` with its names.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such columns, not one good row, labels of several types, or a bad row with `on_bad_row="error"`.
    """
    if on_bad_row not in ("skip", "error"):
        raise ValueError(f"on_bad_row must be 'skip' or 'error', but is {on_bad_row!r}.")
    sides = ("text", "text_pair", "label") if pairs or pair_column is not None else ("text", "label")
    wanted = _wanted(text_column, pair_column, label_column, len(sides) == 3)
    name, found = find_rows(source, split, partial(_tables, wanted=wanted, form=csv_format), config_name=config_name)
    if isinstance(found, datasets.Dataset):
        chunks, feature = _of_dataset(found, wanted, sides, name)
    else:
        chunks, feature = found(), _class_label(source, wanted, split)
    report = RowReport(name)
    columns: list[list[Any]] = [[] for _ in sides]
    for chunk in chunks:
        labels = [_label(value, feature) for value in chunk.sides[-1]]
        problems = {
            index: BadRow.NOT_UTF8 if isinstance(label, Undecodable) else BadRow.NO_LABEL
            for index, label in enumerate(labels)
            if label is None or isinstance(label, Undecodable)
        }
        problems |= text_problems(chunk.sides[:-1]) | chunk.problems
        report.rows += len(labels)
        for index in sorted(problems):
            report.leave_out(problems[index], f"{chunk.place}:{chunk.numbers[index]}", on_bad_row)
        for column, values in zip(columns, (*chunk.sides[:-1], labels)):
            column += [value for index, value in enumerate(values) if index not in problems]
    report.close(_hint(report))
    return _dataset(sides, columns, feature, name), report


def split_off_validation(
    rows: datasets.Dataset, share: float = 0.1, seed: int = 0, *, column: str | None = "label"
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Takes part of the rows away for validation, each class in the same proportion.

    Args:
        rows: what there is to train on.
        share: part of the rows, in (0, 1). Of a class with at least two rows one stays for training in any case; a
            class with a single row stays there as a whole.
        seed: decides which rows.
        column: holds the classes; None, or numbers with fractions, splits without regard to it.

    Returns:
        Training and validation rows, each in their old order.

    Raises:
        ValueError: a share that leaves one side empty.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share} of the rows for validation must lie between 0 and 1.")
    strata: dict[Any, list[int]] = {}
    for index, value in enumerate(rows[column][:] if column else range(len(rows))):
        stratum = None if column is None or isinstance(value, float) else str(value)
        strata.setdefault(stratum, []).append(index)
    generator = np.random.default_rng(seed)
    # Whole rows of each class first, then the classes with the largest remainders, up to the number wanted.
    quotas = {key: share * len(members) for key, members in strata.items()}
    taken = {key: min(math.floor(quota), len(strata[key]) - 1) for key, quota in quotas.items()}
    missing = round(share * len(rows)) - sum(taken.values())
    for key in sorted(strata, key=lambda key: (taken[key] - quotas[key], str(key))):
        if missing > 0 and taken[key] + 1 < len(strata[key]):
            taken[key] += 1
            missing -= 1
    validation = {
        int(index) for key, members in strata.items() for index in generator.permutation(members)[: taken[key]]
    }
    if not validation or len(validation) == len(rows):
        raise ValueError(
            f"share={share} of {len(rows)} rows leaves nothing for one of training and validation; give a validation "
            "file, more rows or another share."
        )
    held_out = np.zeros(len(rows), dtype=bool)
    held_out[list(validation)] = True
    # As arrays: the library writes lists out number by number to tell data sets apart.
    return rows.select(np.flatnonzero(~held_out)), rows.select(np.flatnonzero(held_out))


def _wanted(text: str | int | None, pair: str | int | None, label: str | int | None, pairs: bool) -> Columns:
    named = text is not None or pair is not None or label is not None
    if pairs and (text is None) != (pair is None):
        raise ValueError(f"Give both or neither of text_column={text!r} and pair_column={pair!r}.")
    if pairs:
        texts = PAIR_COLUMNS if text is None else ((str(text), str(pair)),)
    else:
        texts = tuple((name,) for name in (TEXT_COLUMNS if text is None else (str(text),)))
    labels = LABEL_COLUMNS if label is None else (str(label),)
    candidates = tuple(tuple((name,) for name in (*names, last)) for names, last in product(texts, labels))
    if any(len(set(candidate)) < len(candidate) for candidate in candidates):
        candidates = tuple(candidate for candidate in candidates if len(set(candidate)) == len(candidate))
    if not candidates:
        raise ValueError(f"text_column={text!r}, pair_column={pair!r} and label_column={label!r} must differ.")
    described = [f"text ({text!r})" if text is not None else "text", f"label ({label!r})" if label else "label"]
    if pairs:
        described.insert(1, f"second text ({pair!r})" if pair is not None else "second text")
    return Columns(candidates, " and ".join(described), named)


def _tables(paths: list[Path], *, wanted: Columns, form: CsvFormat | None) -> Callable[[], Iterator[Chunk]]:
    for path in paths:
        if table_suffix(path) is None and form is None:
            raise ValueError(
                f"{path} does not say what it holds by its ending; labelled texts are read from {', '.join(TABLES)}, "
                "and from any other file if its CSV format (delimiter) is given."
            )

    def chunks() -> Iterator[Chunk]:
        for path in paths:
            suffix = table_suffix(path)
            if suffix in (".tsv", ".tab"):
                # Tabs need no quotes, and quotes at the beginning of a text are part of it.
                yield from read_csv(
                    path, wanted, dataclasses.replace(form or CsvFormat(), delimiter="\t", quotes=False)
                )
            elif suffix in (None, ".csv"):
                yield from read_csv(path, wanted, form)
            else:
                yield from TABLES[suffix](path, wanted)

    return chunks


def _of_dataset(
    dataset: datasets.Dataset, wanted: Columns, sides: tuple[str, ...], name: str
) -> tuple[Iterator[Chunk], Any]:
    features = dataset.features
    paths = wanted.choose(dict(features.items()), name)
    columns = [path[0] for path in paths]
    feature = features[columns[-1]]
    dataset = dataset.with_format(None).select_columns(columns)

    def chunks() -> Iterator[Chunk]:
        for begin in range(0, len(dataset), CHUNK):
            batch = dataset[begin : begin + CHUNK]
            numbers = range(begin, begin + len(batch[columns[0]]))
            yield Chunk(name, numbers, [batch[column] for column in columns])

    return chunks(), feature if isinstance(feature, datasets.ClassLabel) else None


def _class_label(source: Any, wanted: Columns, split: str) -> datasets.ClassLabel | None:
    """The names of the classes that the `datasets` library keeps in a Parquet file, if it wrote this one."""
    path = Path(source[0] if isinstance(source, (list, tuple)) else source)
    if path.is_dir():
        path = split_files(path, split)[0]
    if path.suffix != ".parquet":
        return None
    features = datasets.Features.from_arrow_schema(pq.read_schema(path))
    feature = features[wanted.choose(dict.fromkeys(features), str(path))[-1][0]]
    return feature if isinstance(feature, datasets.ClassLabel) else None


def _label(value: Any, feature: datasets.ClassLabel | None) -> Any:
    """The label, or None where there is none: an empty field, not a number, or -1 of a `ClassLabel`."""
    if isinstance(value, Undecodable):
        return value
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float) and math.isnan(value):
        return None
    if feature is not None and value == -1:
        return None
    return value


def _dataset(sides: tuple[str, ...], columns: list[list[Any]], feature: Any, name: str) -> datasets.Dataset:
    try:
        labels = pa.array(columns[-1])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        kinds = Counter(type(value).__name__ for value in columns[-1])
        raise ValueError(
            f"The labels in {name} are of several types ({', '.join(f'{n:,} {kind}' for kind, n in kinds.items())}); "
            "make them all text, all numbers or all lists."
        ) from error
    table = pa.table({side: pa.array(values, pa.string()) for side, values in zip(sides, columns[:-1])})
    dataset = datasets.Dataset(table.append_column(sides[-1], labels))
    return dataset.cast_column(sides[-1], feature) if feature is not None else dataset


def _hint(report: RowReport) -> str:
    if report.counts.get(BadRow.NOT_UTF8):
        return "\nIf the file has another encoding, name it, such as cp949 (Excel in Korea) or latin-1."
    if report.counts.get(BadRow.FIELDS):
        return "\nA text that holds the delimiter must be in quotes; is the delimiter right?"
    return ""
