"""Markdown for text that nobody has written for Markdown: reviews with bars, tags and line breaks in them."""

from __future__ import annotations

import html
from collections.abc import Sequence


def cell(text: str, limit: int = 300) -> str:
    """A text as it may stand in a table: in one line, cut at `limit` characters, nothing in it taken for markup."""
    text = " ".join(str(text).split())
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    text = html.escape(text, quote=False)
    for character in "\\`*_|[]":
        text = text.replace(character, f"\\{character}")
    return text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; the first column stands left, the others right."""
    lines = [f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def left_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same with every column on the left, for texts."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def figure(file: str, caption: str) -> str:
    """A picture with what it shows below."""
    return f"![{caption.split('.')[0].replace('[', '(').replace(']', ')')}]({file})\n\n*{caption}*"
