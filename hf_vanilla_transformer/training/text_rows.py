"""Cuts texts into rows of token ids for language models, in memory and in streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data.reversal import reverse_tokens
from ..data.token_blocks import encode_documents
from .recipes.training_recipe import Recipe


class TextRows:
    """Cuts texts into rows of at most ``data.max_length`` tokens.

    For a causal language model, the texts, each followed by the end token, are concatenated and cut into blocks of
    exactly this length. For the other objectives, a row is a text or a piece of a long text, with its own special
    tokens; `data.packing` puts several into one row of a batch.

    Args:
        recipe: decides the task, the length, and whether texts are reversed.
        tokenizer: of the model.
    """

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.limit = recipe.data.max_length
        self.in_blocks = recipe.task == "causal_lm"
        self.reverse = recipe.data.reverse
        self._special = frozenset(tokenizer.all_special_ids)

    def ids(self, texts: list[str]) -> list[Sequence[int]]:
        """The ids of entire texts (causal), or of pieces of at most ``data.max_length`` tokens."""
        if not self.in_blocks:
            return self.tokenizer(
                texts,
                truncation=True,
                max_length=self.limit,
                return_overflowing_tokens=True,
                return_attention_mask=False,
            )["input_ids"]
        documents = encode_documents(self.tokenizer, texts)
        return [reverse_tokens(ids, self._special) for ids in documents] if self.reverse else documents

    def rows(self, texts: list[str], rest: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Cuts the next texts of a stream into rows.

        Args:
            texts: the next texts.
            rest: `(tokens,)`, the tokens of earlier texts that did not fill a row.

        Returns:
            The rows, and the tokens that do not fill a row.
        """
        pieces = [np.asarray(ids, dtype=np.int32) for ids in self.ids(texts)]
        if not self.in_blocks:
            return pieces, rest
        ids = np.concatenate([rest, *pieces])
        full = len(ids) - len(ids) % self.limit
        # Copies, because a view in the shuffle buffer would keep the entire array in memory.
        return [ids[begin : begin + self.limit].copy() for begin in range(0, full, self.limit)], ids[full:].copy()
