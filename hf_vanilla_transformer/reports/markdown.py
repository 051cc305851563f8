"""Markdown tables and figures, with escaping for texts that contain bars, tags and line breaks."""

from __future__ import annotations

import html
from collections.abc import Sequence


def cell(text: str, limit: int = 300) -> str:
    """A text for a table cell: on one line, cut at `limit` characters, with all markup escaped."""
    text = " ".join(str(text).split())
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    text = html.escape(text, quote=False)
    for character in "\\`*_|[]":
        text = text.replace(character, f"\\{character}")
    return text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown cells; the first column is aligned left, the others right."""
    lines = [f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def left_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown cells with every column aligned left, for texts."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def figure(file: str, caption: str) -> str:
    """A picture with its caption below."""
    return f"![{caption.split('.')[0].replace('[', '(').replace(']', ')')}]({file})\n\n*{caption}*"
