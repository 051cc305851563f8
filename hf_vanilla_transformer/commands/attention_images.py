"""The option `--attention`: an image of the attention weights for each input line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..wording import counted


class AttentionImages:
    """Draws the attention of lines with a model, and says at the end where the images are.

    Args:
        path: of the first image, the value of `--attention`; None draws nothing.
        model: computes the attention.
        tokenizer: of the model.
    """

    def __init__(self, path: str | None, model: Any, tokenizer: Any) -> None:
        self.path = path
        self.model = model
        self.tokenizer = tokenizer
        self.count = 0

    def draw_cross_attention(self, number: int, source: str, target: str) -> None:
        """Draws the attention from the tokens of `target` to those of `source`, if both contain text.

        Args:
            number: of the input line, from 1.
            source: text of the encoder.
            target: text of the decoder.
        """
        if self.path is None or not source.strip() or not target.strip():
            return
        from ..interpretation import cross_attention, plot_attention

        plot_attention(cross_attention(self.model, self.tokenizer, source, target), image_path(self.path, number))
        self.count += 1

    def draw_self_attention(self, number: int, text: str) -> None:
        """Draws the self-attention of line `number`, if it contains text."""
        if self.path is None or not text.strip():
            return
        from ..interpretation import plot_attention, self_attention

        plot_attention(self_attention(self.model, self.tokenizer, text), image_path(self.path, number))
        self.count += 1

    def report(self) -> None:
        """Prints how many images there are, and where."""
        if self.path is not None:
            print(f"{self.path}: the attention in {counted(self.count, 'image')}", file=sys.stderr)


def image_path(path: str, number: int) -> Path:
    """The file for line `number`: out.png, out-2.png, out-3.png and so on."""
    first = Path(path)
    return first if number == 1 else first.with_name(f"{first.stem}-{number}{first.suffix}")
