"""The option `--attention`: an image of the attention weights for each input line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def draw_cross_attention(
    arguments: argparse.Namespace, number: int, model: Any, tokenizer: Any, source: str, target: str
) -> None:
    """Draws the cross-attention from `target` to `source`, if `--attention` is given and both contain text.

    Args:
        arguments: of the command.
        number: of the input line, from 1.
        model: an encoder-decoder.
        tokenizer: its tokenizer.
        source: text of the encoder.
        target: text of the decoder.
    """
    if arguments.attention is not None and source.strip() and target.strip():
        from ..interpretation import cross_attention, plot_attention

        attention = cross_attention(model, tokenizer, source, target)
        plot_attention(attention, image_path(arguments.attention, number))


def draw_self_attention(arguments: argparse.Namespace, number: int, model: Any, tokenizer: Any, text: str) -> None:
    """Draws the self-attention of line `number`, if `--attention` is given and the line contains text."""
    if arguments.attention is not None and text.strip():
        from ..interpretation import plot_attention, self_attention

        plot_attention(self_attention(model, tokenizer, text), image_path(arguments.attention, number))


def image_path(path: str, number: int) -> Path:
    """The file for line `number`: out.png, out-2.png, out-3.png and so on."""
    first = Path(path)
    return first if number == 1 else first.with_name(f"{first.stem}-{number}{first.suffix}")
