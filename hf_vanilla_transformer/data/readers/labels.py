"""From the labels people write to the numbers a head predicts, and what may be wrong with them on the way.

The names come from the training rows alone. What cannot be right is an error; what may be meant (a class that is
called like another but for case, an evaluation row with a label that training never saw) is an error too, unless the
user chose warnings: then it is counted, said, and the run goes on.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import datasets
import pyarrow as pa

from .row_report import BadRow, RowReport

logger = logging.getLogger(__name__)

LabelKind = Literal["single", "multi", "regression"]
OnBadLabel = Literal["error", "warn"]

# More classes than this, with fewer than two rows each, are texts and not classes.
_MANY = 20


@dataclass(frozen=True)
class Labels:
    """The classes of a task, or that there are none because it predicts a number.

    Attributes:
        kind: one class a row, several, or a number.
        names: the classes in the order of their ids; empty for a number.
        counts: training rows of each class, in the same order.
        separator: what stands between the classes of a row of text ("sports|politics"), for several a row.
        warnings: what the training labels gave reason to say.
    """

    kind: LabelKind
    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    separator: str | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def num_labels(self) -> int:
        """Outputs of the head; one for a number."""
        return max(len(self.names), 1)

    @property
    def id2label(self) -> dict[int, str]:
        """As a config holds it."""
        return dict(enumerate(self.names))

    @property
    def label2id(self) -> dict[str, int]:
        """The other way round."""
        return {name: index for index, name in enumerate(self.names)}

    @property
    def problem_type(self) -> str:
        """The word transformers has for the kind."""
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
            split: its name, for the account.
            column: holds the labels.
            on_bad_label: what to do about a row whose label training never saw, or that is of the wrong type: stop, or
                leave the row out and count it.

        Returns:
            The rows with `column` as an id, a list of 0.0 and 1.0 (one for each class), or a number; and the account.

        Raises:
            ValueError: such a row with ``error``; or no row is left.
        """
        _check_choice(on_bad_label)
        report = RowReport(f"labels of {split}", rows=len(rows))
        known = {name: index for index, name in enumerate(self.names) if self.counts[index]}
        keep, encoded = [], []
        unseen: Counter[str] = Counter()
        seen: dict[Any, tuple] = {}  # what each label of a row with one class becomes
        for index, value in enumerate(_plain(rows, column)):
            if self.kind != "single" or isinstance(value, (list, dict)):
                number, problem, wrong = self._number(value, known)
            else:
                # True and 1 are equal, and different labels.
                key = (type(value), value)
                if key not in seen:
                    seen[key] = self._number(value, known)
                number, problem, wrong = seen[key]
            if problem is None:
                keep.append(index)
                encoded.append(number)
                continue
            report.add(problem, f"{split}:{index}")
            unseen.update(wrong)
        if report.skipped:
            shown = ", ".join(f"{name!r} ({count:,} rows)" for name, count in unseen.most_common(5))
            said = f"{report}\n  these labels: {shown}{', ...' if len(unseen) > 5 else ''}"
            if on_bad_label == "error" or not keep:
                expected = f"Training has {', '.join(map(repr, self.names[:20]))}." if self.names else ""
                raise ValueError(
                    f"{said}\n{expected} Correct the rows, add examples of these labels to the training data, or set "
                    "on_bad_label to warn, which leaves the rows out and counts them."
                )
            logger.warning("%s", said)
            rows = rows.select(keep)
        kind = datasets.Value("int64") if self.kind == "single" else datasets.Value("float32")
        feature = datasets.List(kind) if self.kind == "multi" else kind
        # Straight from table to table: the library's own way writes progress bars for each step.
        table = rows.with_format("arrow")[:]
        features = datasets.Features({**rows.features, column: feature})
        place = table.column_names.index(column)
        values = pa.array(encoded, features.arrow_schema.field(column).type)
        return datasets.Dataset(table.set_column(place, column, values).cast(features.arrow_schema)), report

    def _number(self, value: Any, known: dict[str, int]) -> tuple[Any, BadRow | None, list[str]]:
        """The number of a label; or what is wrong with it, and which names are."""
        if self.kind == "regression":
            number = _as_number(value)
            return number, None if number is not None else BadRow.LABEL_TYPE, [str(value)]
        names = _names_of(value, self.kind, self.separator)
        if names is None:
            return None, BadRow.LABEL_TYPE, [str(value)]
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
    """The classes that training rows have, after they were looked at.

    Args:
        train: the training rows.
        kind: one class a row (``single``), several (``multi``) or a number (``regression``).
        column: holds the labels: texts, whole numbers, true and false, a `ClassLabel` (whose order is kept), numbers
            with fractions (regression), or lists of classes (multi).
        separator: for ``multi``: a label is a text with this between its classes.
        on_bad_label: whether doubtful classes are an error or a warning.

    Raises:
        ValueError: the labels cannot be of this kind (the message names the kind they seem to be of); a single class, a
            single value, or two classes that differ in case, blanks or Unicode form only, with ``error``.
    """
    _check_choice(on_bad_label)
    if kind not in ("single", "multi", "regression"):
        raise ValueError(f"kind must be 'single', 'multi' or 'regression', but is {kind!r}.")
    values = _plain(train, column)
    _check_type(values, kind, column, separator)
    if kind == "regression":
        numbers = [number for number in map(_as_number, values) if number is not None]
        doubts = []
        if min(numbers) == max(numbers):
            doubts.append(f"every training row has the value {numbers[0]:g}, so there is nothing to learn.")
        return Labels(kind, warnings=_said(doubts, on_bad_label))
    counts: Counter[str] = Counter()
    if kind == "single":
        for value, count in Counter(values).items():
            for name in _names_of(value, kind, separator) or ():
                counts[name] += count
    else:
        for value in values:
            counts.update(set(_names_of(value, kind, separator) or ()))
    if not counts:
        raise ValueError(f"No row has a label in the column {column!r}.")
    declared = _declared(train.features[column])
    names = declared if declared is not None else sorted(counts, key=_order(counts))
    doubts = _doubts(names, counts, len(values), kind)
    numbers_of = tuple(counts.get(name, 0) for name in names)
    return Labels(kind, tuple(names), numbers_of, separator, _said(doubts, on_bad_label))


def _check_choice(on_bad_label: str) -> None:
    if on_bad_label not in ("error", "warn"):
        raise ValueError(f"on_bad_label must be 'error' or 'warn', but is {on_bad_label!r}.")


def _plain(rows: datasets.Dataset, column: str) -> list[Any]:
    """The labels as Python values; those of a `ClassLabel` as names."""
    if column not in rows.column_names:
        raise ValueError(f"There is no column {column!r}; the columns are {rows.column_names}.")
    values = rows.with_format(None)[column][:]
    names = _declared(rows.features[column])
    if names is None:
        return values
    if isinstance(rows.features[column], datasets.ClassLabel):
        return [names[value] if value is not None and value >= 0 else None for value in values]
    return [None if value is None else [names[one] for one in value] for value in values]


def _declared(feature: Any) -> list[str] | None:
    """The names of a `ClassLabel`, or of a list of them."""
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if isinstance(inner, datasets.ClassLabel) else None


def _check_type(values: Sequence[Any], kind: LabelKind, column: str, separator: str | None) -> None:
    """Whether the labels can be what the task says; the first thing that is wrong is an error."""
    kinds = Counter(_type_name(value) for value in values if value is not None)
    if not kinds:
        raise ValueError(f"No row has a label in the column {column!r}.")
    if kind == "regression":
        wrong = [value for value in values if _as_number(value) is None]
        if len(wrong) == len(values):
            raise ValueError(
                f"The labels are no numbers, such as {wrong[0]!r}, but the task predicts one; use a classification "
                f"task, or name the column of the numbers instead of {column!r}."
            )
        if wrong:
            raise ValueError(
                f"{len(wrong):,} of {len(values):,} labels in the column {column!r} are no finite numbers, such as "
                f"{wrong[0]!r}; correct or remove these rows."
            )
        return
    if "mapping" in kinds:
        raise ValueError(f"The column {column!r} holds structures ({values[0]!r}), not labels; name another.")
    if kind == "single":
        if "list" in kinds:
            raise ValueError(
                f"The labels in the column {column!r} are lists, such as {values[0]!r}: a row has several classes. Use "
                "the multi-label task, or give one class a row."
            )
        fractions = [value for value in values if isinstance(value, float) and not value.is_integer()]
        if fractions:
            raise ValueError(
                f"The labels in the column {column!r} are numbers with fractions, such as {fractions[0]!r}; use the "
                "regression task, or give classes."
            )
        return
    if "list" not in kinds and separator is None:
        raise ValueError(
            f"The labels in the column {column!r} are single values, such as {values[0]!r}, but the task has several "
            "classes a row: give lists (JSON lines, Parquet), or texts with a separator and name it."
        )
    lists = [value for value in values if isinstance(value, list)]
    flat = {one for value in lists for one in value}
    if lists and flat <= {0, 1} and len({len(value) for value in lists}) == 1 and len(lists[0]) > 2:
        raise ValueError(
            f"The labels in the column {column!r} seem to be zeros and ones for {len(lists[0])} classes; give the "
            "names of the classes that each row has instead."
        )


def _type_name(value: Any) -> str:
    return "list" if isinstance(value, (list, tuple)) else "mapping" if isinstance(value, dict) else "value"


def _names_of(value: Any, kind: LabelKind, separator: str | None) -> list[str] | None:
    """The classes of a row as texts; None if the value is of the wrong type."""
    if kind == "single":
        name = _name(value)
        return None if name is None else [name]
    if isinstance(value, str) and separator is not None:
        return [part.strip() for part in value.split(separator) if part.strip()]
    if not isinstance(value, list):
        return None
    names = [_name(one) for one in value]
    return None if None in names else names  # type: ignore[return-value]


def _name(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (bool, int)):
        return str(value)
    # A table with gaps turns whole numbers into floats.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None or isinstance(value, (list, dict)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _order(names: Any) -> Any:
    """Whole numbers by size, anything else by the alphabet."""
    if all(name.lstrip("-").isdecimal() for name in names):
        return lambda name: (int(name), name)
    return lambda name: name


def _doubts(names: Sequence[str], counts: Counter[str], rows: int, kind: LabelKind) -> list[str]:
    doubts = []
    seen = [name for name in names if counts.get(name)]
    if kind == "single" and len(seen) == 1:
        doubts.append(f"every training row has the same class, {seen[0]!r}, so there is nothing to tell apart.")
    if kind == "single" and len(seen) > max(_MANY, rows / 2):
        doubts.append(
            f"{len(seen):,} different labels in {rows:,} rows, such as {seen[0][:60]!r}: is this the column of texts?"
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            shown = " and ".join(f"{name!r} ({counts.get(name, 0):,} rows)" for name in group)
            doubts.append(f"the classes {shown} differ in case, blanks or Unicode form only; are they one?")
    empty = [name for name in names if not counts.get(name)]
    if empty:
        doubts.append(f"no training row has the declared class{'es' if len(empty) > 1 else ''} {', '.join(empty)}.")
    return doubts


def _said(doubts: list[str], on_bad_label: OnBadLabel) -> tuple[str, ...]:
    if doubts and on_bad_label == "error":
        raise ValueError(
            "The labels of the training rows are doubtful: "
            + " ".join(doubts)
            + " Correct them, or set on_bad_label to warn to go on."
        )
    for doubt in doubts:
        logger.warning("Labels of the training rows: %s", doubt)
    return tuple(doubts)
