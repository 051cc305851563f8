"""Why a row cannot be used."""

from enum import Enum
from typing import Literal

OnBadRow = Literal["skip", "error"]


class BadRow(str, Enum):
    """Why a row cannot be used; a report prints the value."""

    MISSING = "missing side"
    EMPTY = "empty"
    NOT_UTF8 = "not UTF-8"
    NUL = "NUL character"
    NOT_JSON = "not JSON"
    NOT_TEXT = "not text"
    FIELDS = "wrong number of fields"
    HEADER = "header again (joined files?)"
    QUOTES = "quotes in the wrong place"
    CARRIAGE_RETURN = "carriage return outside quotes (line ends of old Mac programs?)"
    LENGTH_RATIO = "absurd length ratio"
    NO_LABEL = "no label"
    LABEL_TYPE = "label of the wrong type"
    UNSEEN_LABEL = "label absent from the training rows"
    NOT_LISTS = "not lists of words and labels"
    LENGTHS = "different numbers of words and labels"
    EMPTY_WORD = "empty word"
    NO_HEAD = "word without a head"
    HEAD_RANGE = "head outside the sentence"
    CYCLE = "cycle"
    ROOTS = "several roots"
    NOT_IN_CONTEXT = "answer not at its offset in the context"
    CHOICES = "fewer than two choices"


def check_on_bad_row(on_bad_row: str) -> None:
    """Raises ValueError if `on_bad_row` is neither ``skip`` nor ``error``."""
    if on_bad_row not in ("skip", "error"):
        raise ValueError(f"on_bad_row must be 'skip' or 'error', but is {on_bad_row!r}.")
