"""The labelled rows of a fine-tuning: its splits, and a balanced draw of a few training rows."""

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
from .task import Splits

logger = logging.getLogger(__name__)

Reader = Callable[[str | Path, str], tuple[datasets.Dataset, RowReport]]


def read_splits(data: LabelledDataRecipe, read: Reader, *, column: str | None = None) -> Splits:
    """Reads the splits a recipe names, and holds out a validation split where there is none.

    Args:
        data: the path, the names of the splits, and how much to hold out.
        read: reads one split of a source: `read(source, name)`.
        column: of the rows that `read` makes, whose classes the held-out part shall have in proportion; None for none.

    Raises:
        FileNotFoundError: the data or its training split is not there.
        ValueError: no path is given.
    """
    if data.path is None:
        raise ValueError("data.path is not set: give a folder, a file or a Hub name, such as --data.path reviews.csv")
    found: dict[str, Any] = {}
    reports = []
    for split in ("train", "validation", "test"):
        chosen = choose_split(data.path, data.config, getattr(data, split), split, required=split == "train")
        if chosen is None:
            found[split] = None
            continue
        found[split], report = read(*chosen)
        reports.append(report)
    train = found["train"]
    if data.max_rows is not None and len(train) > data.max_rows:
        train = train.select(range(data.max_rows))
    if found["validation"] is None and data.validation_part > 0:
        # One seed for all runs, so that runs which differ in training.seed are compared on the same rows.
        train, found["validation"] = split_off_validation(train, data.validation_part, column=column)
        logger.info(
            "%s has no validation split: %s of its training rows are held out for it (data.validation_part).",
            data.path, f"{len(found['validation']):,}",
        )  # fmt: skip
    return Splits(train, found["validation"], found["test"], reports)


def csv_format(data: LabelledDataRecipe) -> CsvFormat | None:
    """How CSV files are written, as the recipe says it; None to find it out."""
    if data.delimiter is None and data.encoding == "utf-8" and data.header is None:
        return None
    return CsvFormat(delimiter=data.delimiter, encoding=data.encoding, header=data.header)


def draw_rows(rows: datasets.Dataset, count: int, classes: list[Any] | None, seed: int) -> datasets.Dataset:
    """Draws some of the training rows, with as many of each class as possible.

    A class with too few rows gives all of them, and the others make up for it. Drawing more rows with the same seed
    gives the former ones and others.

    Args:
        rows: training rows.
        count: how many to draw (`data.max_labels`).
        classes: of the rows; None where rows have no single class.
        seed: of the draw.
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
            f"data.max_labels={count} is less than the {len(waiting)} classes of the training rows; take at least one "
            "row of each."
        )
    # Each round takes one row of every class that still has some; the order within the rounds is drawn, too.
    names = [sorted(waiting, key=str)[place] for place in generator.permutation(len(waiting))]
    taken: list[int] = []
    turn = 0
    while len(taken) < count:
        for name in names:
            if turn < len(waiting[name]) and len(taken) < count:
                taken.append(waiting[name][turn])
        turn += 1
    return rows.select(sorted(taken))
