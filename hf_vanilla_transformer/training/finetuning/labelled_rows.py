"""The labelled rows of a fine-tuning: reads its splits, and draws a balanced sample of training rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from ...data import RowReport
from ...data.readers.csv_files import CsvFormat
from ...data.readers.splits import choose_split
from ...data.readers.validation_split import split_off_validation
from ..recipes.finetuning_recipe import LabelledDataRecipe
from ..recipes.text_sections import check_path_is_set
from .task import Splits

logger = logging.getLogger(__name__)

Reader = Callable[[str | Path, str], tuple[datasets.Dataset, RowReport]]


def read_splits(data: LabelledDataRecipe, read: Reader, *, column: str | None = None) -> Splits:
    """Reads the splits that a recipe names, and holds out a validation split if there is none.

    Args:
        data: section `data` of the recipe, with the path, the names of the splits and the part to hold out.
        read: reads one split of a source: `read(source, name)`.
        column: column of classes to stratify the held-out rows by; None to hold out random rows.

    Raises:
        FileNotFoundError: the data or its training split does not exist.
        ValueError: data.path is not set.
    """
    check_path_is_set(data.path, None)
    splits: dict[str, Any] = {}
    reports = []
    for split in ("train", "validation", "test"):
        chosen = choose_split(data.path, data.config, getattr(data, split), split, required=split == "train")
        if chosen is None:
            splits[split] = None
            continue
        try:
            splits[split], report = read(*chosen)
        except ValueError as error:
            if split == "train":
                raise
            raise ValueError(f"{error} To leave this split out, set data.{split} to [].") from error
        reports.append(report)
    train = splits["train"]
    if data.max_rows is not None and len(train) > data.max_rows:
        train = train.select(range(data.max_rows))
    if splits["validation"] is None and data.validation_part > 0:
        # One seed for all runs, so that runs with different training.seed are compared on the same rows.
        train, splits["validation"] = split_off_validation(train, data.validation_part, column=column)
        logger.info(
            "%s has no validation split: holding out %s of its training rows (data.validation_part).",
            data.path, f"{len(splits['validation']):,}",
        )  # fmt: skip
    return Splits(train, splits["validation"], splits["test"], reports)


def csv_format(data: LabelledDataRecipe) -> CsvFormat | None:
    """The CSV format of the recipe; None to detect it."""
    if data.delimiter is None and data.encoding == "utf-8" and data.header is None:
        return None
    return CsvFormat(delimiter=data.delimiter, encoding=data.encoding, header=data.header)


def draw_rows(rows: datasets.Dataset, count: int, classes: list[Any] | None, seed: int) -> datasets.Dataset:
    """Draws a random sample of training rows with equally many rows of each class, as far as possible.

    A class with too few rows contributes all of them, and the other classes contribute more. A larger sample with the
    same seed contains the smaller one.

    Args:
        rows: training rows.
        count: number of rows to draw (`data.max_labels`).
        classes: class of each row; None if rows have no single class.
        seed: of the sample.

    Raises:
        ValueError: `count` is less than the number of classes.
    """
    if count >= len(rows):
        return rows
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(rows))
    if classes is None:
        return rows.select(sorted(order[:count].tolist()))
    waiting: dict[Any, list[int]] = {}
    for index in order.tolist():
        waiting.setdefault(classes[index], []).append(index)
    if count < len(waiting):
        raise ValueError(
            f"data.max_labels={count} is less than the {len(waiting)} classes of the training rows; set it to at "
            f"least {len(waiting)}."
        )
    # Each round takes one row of every class that has rows left, in a random order of the classes.
    names = [sorted(waiting, key=str)[index] for index in generator.permutation(len(waiting))]
    taken: list[int] = []
    turn = 0
    while len(taken) < count:
        for name in names:
            if turn < len(waiting[name]) and len(taken) < count:
                taken.append(waiting[name][turn])
        turn += 1
    return rows.select(sorted(taken))
