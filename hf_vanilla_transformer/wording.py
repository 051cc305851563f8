"""Numbers and names in messages: `1 line`, `2 lines`, and the nearest legal name for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 line`, `2,000 lines`.

    Args:
        number: how many.
        noun: in the singular.
        plural: of the noun, if it does not only add an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def did_you_mean(name: str, legal: Iterable[str]) -> str:
    """A question with the nearest legal name, and a blank; empty if none is near. Dashes of options do not count."""
    names = {one.lstrip("-"): one for one in legal}
    close = difflib.get_close_matches(name.lstrip("-"), names, n=1, cutoff=0.5)
    return f"Did you mean {names[close[0]]!r}? " if close else ""
