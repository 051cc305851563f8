"""The pictures of `--attention`: what a model looks at in each line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def draw_cross_attention(
    arguments: argparse.Namespace, number: int, model: Any, tokenizer: Any, source: str, target: str
) -> None:
    """Draws what an encoder-decoder looks at in line `number` while it writes `target`, if `--attention` asks for it.

    A line without words has no picture.
    """
    from ..interpretation import cross_attention, plot_attention

    if arguments.attention is not None and source.strip() and target.strip():
        attention = cross_attention(model, tokenizer, source, target)
        plot_attention(attention, picture_path(arguments.attention, number))


def draw_self_attention(arguments: argparse.Namespace, number: int, model: Any, tokenizer: Any, text: str) -> None:
    """Draws what the words of line `number` look at among themselves, if `--attention` asks for it."""
    from ..interpretation import plot_attention, self_attention

    if arguments.attention is not None and text.strip():
        plot_attention(self_attention(model, tokenizer, text), picture_path(arguments.attention, number))


def picture_path(path: str, number: int) -> Path:
    """Where the picture of the n-th line goes: out.png, out-2.png and so on."""
    first = Path(path)
    return first if number == 1 else first.with_name(f"{first.stem}-{number}{first.suffix}")
