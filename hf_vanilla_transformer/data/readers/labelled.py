"""Texts, or pairs of texts, with a label, from files, folders and the Hub."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from .bad_rows import BadRow, OnBadRow, check_on_bad_row
from .columns import Columns
from .csv_files import CsvFormat, read_csv
from .row_batch import RowBatch, Undecodable
from .row_report import RowReport
from .sources import ReadFiles, Source, open_rows
from .tables import TABLES, table_suffix
from .text_problems import text_problems

# The columns that are tried, in this order, if the user names none.
TEXT_COLUMNS = ("text", "sentence", "review", "document", "content", "텍스트", "문장", "리뷰", "내용")
PAIR_COLUMNS = (
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
)
LABEL_COLUMNS = ("label", "labels", "class", "category", "sentiment", "score", "target", "라벨", "레이블", "분류")
# What a user can do about bad rows.
_HINTS = {
    BadRow.NOT_UTF8: "If the file has another encoding, set it, such as cp949 (Excel in Korea) or latin-1.",
    BadRow.FIELDS: "A text that contains the delimiter must be in quotes; is the delimiter correct?",
    BadRow.QUOTES: 'A quote inside of a field in quotes is doubled, "".',
    BadRow.NOT_JSON: "Write one JSON object per line (JSON lines), or one array of objects.",
}


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
    empty_labels: bool = False,
    on_bad_row: OnBadRow = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads texts (or pairs of texts) with one label column of any type.

    Args:
        source: a file (`.csv`, `.tsv`, JSON lines, `.parquet`), a list of such files, a folder whose files are named
            after the split, a name on the Hub or a data set. A file with another suffix is read as CSV if `csv_format`
            is given.
        text_column: name of the column, or its index (CSV and TSV, from 0); by default the first of `TEXT_COLUMNS` that
            exists. A CSV file without a header has text and label in its first columns.
        pair_column: the second text of a pair.
        label_column: by default the first of `LABEL_COLUMNS` that exists.
        pairs: read two texts even if `pair_column` is not given.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub.
        csv_format: delimiter, encoding and header of a CSV file; by default UTF-8, and the others are detected.
        empty_labels: whether an empty field is a label, that of a row without any class (multi-label); otherwise such a
            row has no label and is bad.
        on_bad_row: skip and count rows without text or label, or raise an error at the first one.

    Returns:
        The data set with the columns `text`, `text_pair` (pairs only) and `label`, and the report of its rows.
        Labels keep their type: texts (stripped), numbers, lists, or a `ClassLabel` with its names.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the columns do not exist, no row is valid, labels have several types, files have different columns
            or name their classes differently, or a row is bad with `on_bad_row="error"`.
    """
    check_on_bad_row(on_bad_row)
    sides = ("text", "text_pair", "label") if pairs or pair_column is not None else ("text", "label")
    wanted = _wanted(text_column, pair_column, label_column, len(sides) == 3)
    read = partial(_tables, wanted=wanted, form=csv_format)
    name, batches = open_rows(source, wanted, split, config_name=config_name, read=read)
    report = RowReport(name)
    columns: list[list[Any]] = [[] for _ in sides]
    class_label: datasets.ClassLabel | None = None
    for number, batch in enumerate(batches):
        feature = batch.features[-1] if batch.features else None
        feature = feature if isinstance(feature, datasets.ClassLabel) else None
        if number and feature != class_label:
            raise ValueError(
                f"{batch.origin} names its classes {feature and feature.names}, but the files before it "
                f"{class_label and class_label.names}; give all files of {name} the same ClassLabel."
            )
        class_label = feature
        if batch.columns and report.columns and batch.columns != report.columns:
            raise ValueError(
                f"{batch.origin} has the columns {', '.join(batch.columns)}, but the files before it "
                f"{', '.join(report.columns)}; name the columns of {name}, or give its files the same ones."
            )
        report.columns = report.columns or batch.columns
        labels = [_label(value, class_label, empty_labels) for value in batch.sides[-1]]
        problems = {
            index: BadRow.NOT_UTF8 if isinstance(label, Undecodable) else BadRow.NO_LABEL
            for index, label in enumerate(labels)
            if label is None or isinstance(label, Undecodable)
        }
        good = report.good_rows(batch, problems | text_problems(batch.sides[:-1]), on_bad_row)
        for column, values in zip(columns, (*batch.sides[:-1], labels)):
            column += [values[index] for index in good]
    report.close(_hint(report))
    return _dataset(sides, columns, class_label, name), report


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
    remedy = "text_column and label_column (data.text and data.label in a recipe)"
    return Columns(candidates, " and ".join(described), named, remedy, labelled=True)


def _tables(paths: Sequence[Path], *, wanted: Columns, form: CsvFormat | None) -> ReadFiles:
    for path in paths:
        if table_suffix(path) is None and form is None:
            raise ValueError(
                f"{path} has none of the suffixes {', '.join(TABLES)}; convert or rename the file, or give its CSV "
                "format (delimiter)."
            )

    def batches() -> Iterator[RowBatch]:
        for path in paths:
            suffix = table_suffix(path)
            if suffix in (".tsv", ".tab"):
                # Tabs need no quotes, and a quote at the beginning of a text is part of it.
                tabs = dataclasses.replace(form or CsvFormat(), delimiter="\t", quotes=False)
                yield from read_csv(path, wanted, tabs)
            elif suffix in (None, ".csv"):
                yield from read_csv(path, wanted, form)
            else:
                yield from TABLES[suffix](path, wanted)

    return batches


def _label(value: Any, class_label: datasets.ClassLabel | None, empty: bool) -> Any:
    """The label; None for an empty field (unless `empty` labels are allowed), for NaN and for -1 of a `ClassLabel`."""
    if isinstance(value, Undecodable):
        return value
    if isinstance(value, str):
        return value.strip() or ("" if empty else None)
    value = _plain(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if class_label is not None and value == -1:
        return None
    return value


def _plain(value: Any) -> Any:
    """The numbers of a database as numbers, also in a list."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


def _dataset(
    sides: tuple[str, ...], columns: list[list[Any]], class_label: datasets.ClassLabel | None, name: str
) -> datasets.Dataset:
    try:
        labels = pa.array(columns[-1])
    except OverflowError as error:
        largest = max((value for value in columns[-1] if isinstance(value, int)), key=abs)
        raise ValueError(
            f"The label {largest} in {name} has more than 64 bits: give the labels as text, in quotes."
        ) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        kinds = Counter(type(value).__name__ for value in columns[-1])
        if set(kinds) == {"list"}:
            kinds = Counter(type(one).__name__ for value in columns[-1] for one in value)
        raise ValueError(
            f"The labels in {name} have several types ({', '.join(f'{n:,} {kind}' for kind, n in kinds.items())}); "
            "make them all text, all numbers or all lists of one of these."
        ) from error
    table = pa.table({side: pa.array(values, pa.string()) for side, values in zip(sides, columns[:-1])})
    dataset = datasets.Dataset(table.append_column(sides[-1], labels))
    return dataset.cast_column(sides[-1], class_label) if class_label is not None else dataset


def _hint(report: RowReport) -> str:
    for reason, hint in _HINTS.items():
        if report.counts.get(reason):
            return hint
    return ""
