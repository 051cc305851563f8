"""From labels as people write them to the numbers that a head predicts.

The class names come from the training rows only. Labels that cannot be correct are an error. Labels that may be correct
(two class names that differ only in case, an evaluation row with a label that no training row has) are an error too,
unless the user chose warnings: then the rows are counted and logged, and the run continues.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import datasets
import pyarrow as pa

from ...wording import counted
from .bad_rows import BadRow
from .label_values import LabelKind, as_number, check_type, declared_names, names_of, plain_values, whole_number
from .row_report import RowReport

logger = logging.getLogger(__name__)

OnBadLabel = Literal["error", "warn"]

# What programs write for a missing value.
_MISSING = {"nan", "NaN", "null", "NULL", "<NA>", "#N/A", "NaT"}
# More classes than this, with fewer than two rows each, are probably texts.
_MANY = 20


@dataclass(frozen=True)
class Labels:
    """The classes of a task; empty for a task that predicts a number.

    Attributes:
        kind: one class per row (``single``), several (``multi``), or a number (``regression``).
        names: the classes in the order of their ids; empty for a number.
        counts: the number of training rows of each class, in the same order.
        separator: separates the classes of a row that is a text ("sports|politics"), for ``multi``.
        warnings: doubts about the training labels.
    """

    kind: LabelKind
    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    separator: str | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def num_labels(self) -> int:
        """The number of outputs of the head; 1 for a number."""
        return max(len(self.names), 1)

    @property
    def id2label(self) -> dict[int, str]:
        """The class name of each id, for the config."""
        return dict(enumerate(self.names))

    @property
    def label2id(self) -> dict[str, int]:
        """The id of each class name, for the config."""
        return {name: index for index, name in enumerate(self.names)}

    @property
    def problem_type(self) -> str:
        """The `problem_type` of transformers for the kind."""
        return {
            "single": "single_label_classification",
            "multi": "multi_label_classification",
            "regression": "regression",
        }[self.kind]

    def encode(
        self,
        rows: datasets.Dataset,
        *,
        split: str,
        column: str = "label",
        on_bad_label: OnBadLabel = "error",
    ) -> tuple[datasets.Dataset, RowReport]:
        """Replaces the labels of `rows` by numbers.

        Args:
            rows: any split.
            split: its name, for the report.
            column: the column of the labels.
            on_bad_label: for a row whose label is not in the training rows or is of the wrong type: ``error`` raises,
                ``warn`` skips and counts the row.

        Returns:
            The rows with `column` as an id, as a list of 0.0 and 1.0 (one value per class), or as a number; and the
            report.

        Raises:
            ValueError: there is such a row with ``error``, or no row is left.
        """
        _check_choice(on_bad_label)
        report = RowReport(f"labels of {split}", rows=len(rows))
        known = {name: index for index, name in enumerate(self.names) if self.counts[index]}
        whole = all(whole_number(name) == name for name in self.names)
        keep, encoded = [], []
        unseen: Counter[str] = Counter()
        seen: dict[Any, tuple] = {}  # the result of `_number` for each label of a row with one class
        for index, value in enumerate(plain_values(rows, column)):
            if self.kind != "single" or isinstance(value, (list, dict)):
                number, problem, wrong = self._number(value, known, whole)
            else:
                # True == 1, but they are different labels.
                key = (type(value), value)
                if key not in seen:
                    seen[key] = self._number(value, known, whole)
                number, problem, wrong = seen[key]
            if problem is None:
                keep.append(index)
                encoded.append(number)
                continue
            report.add(problem, f"{split}:{index}")
            unseen.update(wrong)
        if report.skipped:
            shown = ", ".join(f"{name!r} ({counted(count, 'row')})" for name, count in unseen.most_common(5))
            shown += ", ..." if len(unseen) > 5 else ""
            if on_bad_label == "error" or not keep:
                known_names = f" The training rows have {', '.join(map(repr, self.names[:20]))}." if self.names else ""
                raise ValueError(
                    f"{report.in_one_line()}; these labels: {shown}.{known_names} Correct the rows, add examples of "
                    "these labels to the training data, or set on_bad_label (data.on_bad_label in a recipe) to warn, "
                    "which skips and counts the rows."
                )
            logger.warning("%s\n  these labels: %s", report, shown)
            rows = rows.select(keep)
        kind = datasets.Value("int64") if self.kind == "single" else datasets.Value("float32")
        feature = datasets.List(kind) if self.kind == "multi" else kind
        # Directly on the Arrow table: `map` and `cast_column` would each show a progress bar.
        table = rows.with_format("arrow")[:]
        features = datasets.Features({**rows.features, column: feature})
        position = table.column_names.index(column)
        values = pa.array(encoded, features.arrow_schema.field(column).type)
        return datasets.Dataset(table.set_column(position, column, values).cast(features.arrow_schema)), report

    def _number(self, value: Any, known: dict[str, int], whole: bool) -> tuple[Any, BadRow | None, list[str]]:
        """The number of a label, or its problem and the names that cause it.

        Args:
            value: the label.
            known: the id of each class.
            whole: read `1.0` as the class `1`; no class is named like the former.
        """
        if self.kind == "regression":
            number = as_number(value)
            return number, None if number is not None else BadRow.LABEL_TYPE, [str(value)]
        names = names_of(value, self.kind, self.separator)
        if names is None:
            return None, BadRow.LABEL_TYPE, [str(value)]
        if whole:
            names = [name if name in known else whole_number(name) for name in names]
        wrong = [name for name in names if name not in known]
        if wrong:
            return None, BadRow.UNSEEN_LABEL, wrong
        if self.kind == "single":
            return known[names[0]], None, []
        present = set(names)
        return [float(name in present) for name in self.names], None, []


def fit_labels(
    train: datasets.Dataset,
    kind: LabelKind,
    *,
    column: str = "label",
    separator: str | None = None,
    on_bad_label: OnBadLabel = "error",
) -> Labels:
    """The classes of the training rows, after checking them.

    Args:
        train: the training rows.
        kind: one class per row (``single``), several (``multi``) or a number (``regression``).
        column: the column of the labels: texts, integers, booleans, a `ClassLabel` (its order is kept), numbers with
            fractions (regression), or lists of classes (multi).
        separator: for ``multi``, if labels are texts: separates the classes.
        on_bad_label: whether doubtful classes are an error or a warning.

    Raises:
        ValueError: the labels cannot be of this kind (the message names the kind that they seem to be of); or, with
            ``error``, there is only one class or value, or two classes differ only in case, blanks or Unicode form.
    """
    _check_choice(on_bad_label)
    if kind not in ("single", "multi", "regression"):
        raise ValueError(f"kind must be 'single', 'multi' or 'regression', but is {kind!r}.")
    if separator is not None:
        separator = "\t" if separator == "\\t" else separator  # as a shell passes it on
        if not separator:
            raise ValueError("separator='' (data.label_separator in a recipe) must not be empty; give one such as '|'.")
    values = plain_values(train, column)
    check_type(values, kind, column, separator)
    if kind == "regression":
        numbers = [number for number in map(as_number, values) if number is not None]
        doubts = []
        if min(numbers) == max(numbers):
            doubts.append(f"every training row has the value {numbers[0]:g}, so there is nothing to learn.")
        return Labels(kind, warnings=_warn_or_raise(doubts, on_bad_label))
    counts: Counter[str] = Counter()
    if kind == "single":
        for value, count in Counter(values).items():
            for name in names_of(value, kind, separator) or ():
                counts[name] += count
    else:
        for value in values:
            counts.update(set(names_of(value, kind, separator) or ()))
    if not counts:
        raise ValueError(f"No row has a label in the column {column!r}.")
    declared = declared_names(train.features[column])
    if declared is None and all(whole_number(name).lstrip("-").isdecimal() for name in counts):
        # Whole numbers, which a column with gaps writes as 0.0 and 1.0. In another file they may be 0 and 1.
        written, counts = counts, Counter()
        for name, count in written.items():
            counts[whole_number(name)] += count
    names = declared if declared is not None else sorted(counts, key=_order(counts))
    doubts = _doubts(names, counts, len(values), kind)
    numbers_of = tuple(counts.get(name, 0) for name in names)
    return Labels(kind, tuple(names), numbers_of, separator, _warn_or_raise(doubts, on_bad_label))


def _check_choice(on_bad_label: str) -> None:
    if on_bad_label not in ("error", "warn"):
        raise ValueError(f"on_bad_label must be 'error' or 'warn', but is {on_bad_label!r}.")


def _order(names: Any) -> Any:
    """The sort key: integers by size, everything else alphabetically."""
    if all(name.lstrip("-").isdecimal() for name in names):
        return lambda name: (int(name), name)
    return lambda name: name


def _doubts(names: Sequence[str], counts: Counter[str], rows: int, kind: LabelKind) -> list[str]:
    doubts = []
    seen = [name for name in names if counts.get(name)]
    if kind == "single" and len(seen) == 1:
        doubts.append(f"every training row has the same class, {seen[0]!r}, so there is nothing to distinguish.")
    if kind == "single" and len(seen) > max(_MANY, rows / 2):
        doubts.append(
            f"{len(seen):,} different labels in {rows:,} rows, such as {seen[0][:60]!r}: is this the column "
            "of the texts?"
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_essence(name), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            shown = " and ".join(f"{name!r} ({counted(counts.get(name, 0), 'row')})" for name in group)
            doubts.append(f"the classes {shown} differ only in case, blanks or Unicode form; are they the same class?")
    if missing := [name for name in seen if name in _MISSING]:
        doubts.append(f"{missing[0]!r} ({counted(counts[missing[0]], 'row')}) seems to stand for a missing label.")
    numbers = [as_number(name) for name in seen]
    fractions = [name for name, number in zip(seen, numbers) if number is not None and not number.is_integer()]
    if kind == "single" and fractions and None not in numbers:
        doubts.append(f"they are numbers with fractions, such as {fractions[0]!r}: is this a regression?")
    empty = [name for name in names if not counts.get(name)]
    if empty:
        doubts.append(f"no training row has the declared class{'es' if len(empty) > 1 else ''} {', '.join(empty)}.")
    return doubts


def _essence(name: str) -> str:
    """A class name without what people do not see or do not mean: case, blanks, Unicode form, invisible characters."""
    visible = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def _warn_or_raise(doubts: list[str], on_bad_label: OnBadLabel) -> tuple[str, ...]:
    if doubts and on_bad_label == "error":
        raise ValueError(
            "The labels of the training rows are doubtful: "
            + " ".join(doubts)
            + " Correct them, or set on_bad_label (data.on_bad_label in a recipe) to warn to continue."
        )
    for doubt in doubts:
        logger.warning("Labels of the training rows: %s", doubt)
    return tuple(doubts)
