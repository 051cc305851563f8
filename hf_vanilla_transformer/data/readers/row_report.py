"""What a reader kept and what it did not: counts by reason, with the places of the first examples."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

logger = logging.getLogger(__name__)

_EXAMPLES = 3


class BadRow(str, Enum):
    """Why a row cannot be used; the value is what a report prints."""

    MISSING = "missing side"
    EMPTY = "empty"
    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    NOT_TEXT = "not text"
    FIELDS = "wrong number of fields"
    QUOTES = "quotes in the wrong place"
    LENGTH_RATIO = "absurd length ratio"
    NO_LABEL = "no label"
    LABEL_TYPE = "label of the wrong type"
    UNSEEN_LABEL = "label that training never saw"
    NOT_LISTS = "not lists of words and labels"
    LENGTHS = "words and labels of different number"
    EMPTY_WORD = "empty word"
    NO_HEAD = "word without a head"
    HEAD_RANGE = "head that is no word of the sentence"
    CYCLE = "cycle"
    ROOTS = "several roots"
    NOT_IN_CONTEXT = "answer that does not stand where it says"
    CHOICES = "fewer than two choices"


@dataclass
class RowReport:
    """The account of one reading.

    Attributes:
        origin: what was read.
        rows: how many rows there were.
        counts: how many of them were skipped, by reason.
        examples: the first places of each reason, such as `corpus.tsv:17`.
    """

    origin: str
    rows: int = 0
    counts: dict[BadRow, int] = field(default_factory=dict)
    examples: dict[BadRow, list[str]] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        """Rows that were left out."""
        return sum(self.counts.values())

    @property
    def kept(self) -> int:
        """Rows that are in the data set."""
        return self.rows - self.skipped

    def add(self, reason: BadRow, place: str, count: int = 1) -> None:
        """Count `count` bad rows, the first of them at `place`."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        places = self.examples.setdefault(reason, [])
        if len(places) < _EXAMPLES:
            places.append(place)

    def leave_out(self, reason: BadRow, place: str, on_bad_row: str, shown: Callable[[], str] | None = None) -> None:
        """Count a bad row, or raise if `on_bad_row` is "error"; `shown` then says what stands in it."""
        if on_bad_row == "error":
            row = f" ({shown()})" if shown is not None else ""
            raise ValueError(
                f"{place}: {reason.value}{row}; correct the row, or set on_bad_row='skip' to leave out and count such "
                "rows."
            )
        self.add(reason, place)

    def close(self, hint: str = "") -> None:
        """After the last row: warns of rows that were left out.

        Args:
            hint: put behind the account, where there is something to say of it.

        Raises:
            ValueError: there was no row, or not one good one.
        """
        if self.rows == 0:
            raise ValueError(f"{self.origin} is empty; give a source with at least one row.")
        if self.kept == 0:
            raise ValueError(f"{self.origin} has no valid row.\n{self}{hint}")
        if self.skipped:
            logger.warning("%s%s", self, hint)

    def clear(self) -> None:
        """Begin again: a stream is read once more."""
        self.rows = 0
        self.counts.clear()
        self.examples.clear()

    def __str__(self) -> str:
        head = f"{self.origin}: {self.kept:,} of {self.rows:,} rows kept"
        if not self.counts:
            return head
        order = sorted(self.counts, key=lambda reason: (-self.counts[reason], reason.value))
        table = [("skipped", "rows", "first at")]
        table += [(reason.value, f"{self.counts[reason]:,}", ", ".join(self.examples[reason])) for reason in order]
        first, second = (max(len(row[column]) for row in table) for column in (0, 1))
        lines = [f"  {reason:<{first}}  {count:>{second}}  {places}" for reason, count, places in table]
        return "\n".join([head, *lines])
