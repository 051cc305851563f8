"""Batches for the dependency parser: tokens padded on the side of the tokenizer, words on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

# Columns with one value per word, padded with -100; the others have one value per token.
_PER_WORD = ("heads", "labels")


class DependencyParsingCollator:
    """Pads sentences to batches.

    A feature has `input_ids` and `word_ids` (one value per token), and may have `heads` and `labels` (one per word).
    The batch has `input_ids`, `attention_mask`, `word_ids` `(batch, tokens)`, and `heads`, `labels` `(batch, words)`.

    Args:
        tokenizer: provides the padding token and the padding side.
        pad_to_multiple_of: the length in tokens is a multiple of this.

    Raises:
        ValueError: the tokenizer has no padding token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, pad_to_multiple_of: int | None = None) -> None:
        if tokenizer.pad_token_id is None:
            raise ValueError("The tokenizer has no pad_token; set tokenizer.pad_token.")
        self.pad_token_id = tokenizer.pad_token_id
        self.left = tokenizer.padding_side == "left"
        self.multiple = pad_to_multiple_of or 1

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        length = max(len(feature["input_ids"]) for feature in features)
        length = -(-length // self.multiple) * self.multiple
        batch = {
            "input_ids": self._padded([feature["input_ids"] for feature in features], length, self.pad_token_id),
            "attention_mask": self._padded([[1] * len(feature["input_ids"]) for feature in features], length, 0),
            "word_ids": self._padded([feature["word_ids"] for feature in features], length, -1),
        }
        for name in _PER_WORD:
            if name in features[0]:
                rows = [feature[name] for feature in features]
                words = max(map(len, rows))
                batch[name] = torch.tensor([[*row, *[-100] * (words - len(row))] for row in rows])
        return batch

    def _padded(self, rows: Sequence[Sequence[int]], length: int, value: int) -> torch.Tensor:
        padding = [[value] * (length - len(row)) for row in rows]
        return torch.tensor([[*pad, *row] if self.left else [*row, *pad] for row, pad in zip(rows, padding)])
