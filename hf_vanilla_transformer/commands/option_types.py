"""The types of command-line options: numbers with bounds, and paths."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from ..files import home_expanded

# The seeds that NumPy accepts; transformers seeds it together with torch.
_SEEDS = 2**32
# The memory of a search grows with the number of its beams or samples.
MOST_BEAMS = 1000


def whole_number(*, at_least: int | None = None, below: int = 2**31) -> Callable[[str], int]:
    """The type of an option that is a whole number within bounds. `1e3` is the whole number 1000, as in a recipe."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = _whole(text)
        if at_least is not None and value < at_least:
            raise argparse.ArgumentTypeError(f"must be at least {at_least}, not {text}")
        if value >= below:
            raise argparse.ArgumentTypeError(f"must be at most {below - 1}, not {text[:20]}")
        return value

    return convert


def number(
    *, at_least: float | None = None, above: float | None = None, at_most: float | None = None
) -> Callable[[str], float]:
    """The type of an option that is a finite number within bounds; `above` itself is out of bounds."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
        limits = [
            ("finite", math.isfinite(value)),
            (f"at least {at_least}", at_least is None or value >= at_least),
            (f"above {above}", above is None or value > above),
            (f"at most {at_most}", at_most is None or value <= at_most),
        ]
        for limit, is_kept in limits:
            if not is_kept:
                raise argparse.ArgumentTypeError(f"must be {limit}, not {text}")
        return value

    return convert


seed = whole_number(at_least=0, below=_SEEDS)
beams = whole_number(at_least=1, below=MOST_BEAMS + 1)


def plain_text(argument: str) -> str:
    """The type of an option that is text for a model or a card, whatever the encoding of the locale is.

    Python decodes arguments by the locale, in C or POSIX as ASCII, and keeps the other bytes as surrogates.
    """
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def path_or_name(argument: str) -> str:
    """The type of an option that is a path, or a name on the Hub; `~/` at its beginning is the home folder."""
    if not argument.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return home_expanded(argument)


def _whole(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != int(value):
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(value)
