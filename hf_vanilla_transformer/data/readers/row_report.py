"""How many rows a reader kept and skipped, why it skipped them, and where the first of them are."""

import logging
from dataclasses import dataclass, field
from typing import Any

from ...wording import counted
from .bad_rows import BadRow, OnBadRow
from .row_batch import RowBatch, Undecodable

logger = logging.getLogger(__name__)

# Locations that a report shows for each reason.
_EXAMPLES = 3
# Characters of a value that an error shows.
_SHOWN = 60


@dataclass
class RowReport:
    """Counts of the rows that were read from one source.

    Attributes:
        origin: the source.
        rows: the number of rows that were read.
        counts: the number of skipped rows for each reason.
        examples: the locations of the first skipped rows for each reason, such as `corpus.tsv:17`.
        columns: the names of the columns that were read; empty if they have no names.
    """

    origin: str
    rows: int = 0
    counts: dict[BadRow, int] = field(default_factory=dict)
    examples: dict[BadRow, list[str]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def skipped(self) -> int:
        """The number of skipped rows."""
        return sum(self.counts.values())

    @property
    def kept(self) -> int:
        """The number of rows in the data set."""
        return self.rows - self.skipped

    def add(self, reason: BadRow, location: str, count: int = 1) -> None:
        """Counts `count` skipped rows, the first of which is at `location`."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        locations = self.examples.setdefault(reason, [])
        if len(locations) < _EXAMPLES:
            locations.append(location)

    def good_rows(self, batch: RowBatch, problems: dict[int, BadRow], on_bad_row: OnBadRow) -> list[int]:
        """Counts the rows of a batch, and returns the indices of those without a problem.

        Args:
            batch: the rows.
            problems: the bad rows that the caller found, by their index. Those in `batch.problems` are added.
            on_bad_row: ``skip`` counts bad rows, ``error`` raises at the first one.

        Raises:
            ValueError: a row is bad and `on_bad_row` is ``error``.
        """
        problems = {**problems, **batch.problems}
        self.rows += len(batch.numbers)
        for index in sorted(problems):
            location = f"{batch.origin}:{batch.numbers[index]}"
            if on_bad_row == "error":
                shown = ", ".join(_shown(values[index]) for values in batch.sides)
                raise ValueError(
                    f"{location}: {problems[index].value} ({shown}); correct the row, or set on_bad_row='skip' to skip "
                    "and count such rows."
                )
            self.add(problems[index], location)
        return [index for index in range(len(batch.numbers)) if index not in problems]

    def close(self, hint: str = "") -> None:
        """Call it after the last row: logs a warning if rows were skipped.

        Args:
            hint: follows the report in the warning and in the error.

        Raises:
            ValueError: the source has no row, or no valid row.
        """
        if self.rows == 0:
            raise ValueError(f"{self.origin} is empty: it has no rows; give a source with at least one.")
        if self.kept == 0:
            raise ValueError(f"{self.origin} has no valid row: {self.in_one_line()}. {hint}".strip())
        if self.skipped:
            logger.warning("%s%s", self, f"\n{hint}" if hint else "")

    def clear(self) -> None:
        """Starts again from zero, because a stream is read again."""
        self.rows = 0
        self.counts.clear()
        self.examples.clear()

    def in_one_line(self) -> str:
        """The report without line breaks, for an error."""
        reasons = (f"{reason.value}: {self.counts[reason]:,} ({self._examples(reason)})" for reason in self._order())
        return "; ".join([self._head(), *reasons])

    def _head(self) -> str:
        return f"{self.origin}: {self.kept:,} of {counted(self.rows, 'row')} kept"

    def _order(self) -> list[BadRow]:
        """The reasons, the most frequent first."""
        return sorted(self.counts, key=lambda reason: (-self.counts[reason], reason.value))

    def _examples(self, reason: BadRow) -> str:
        return ", ".join(self.examples[reason])

    def __str__(self) -> str:
        head = self._head()
        if not self.counts:
            return head
        order = self._order()
        table = [("skipped", "rows", "first at")]
        table += [(reason.value, f"{self.counts[reason]:,}", self._examples(reason)) for reason in order]
        first, second = (max(len(row[column]) for row in table) for column in (0, 1))
        lines = [f"  {reason:<{first}}  {count:>{second}}  {locations}" for reason, count, locations in table]
        return "\n".join([head, *lines])


def _shown(value: Any) -> str:
    text = "undecodable" if isinstance(value, Undecodable) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
