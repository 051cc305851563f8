"""From texts to the rows of token ids that a language model is trained on, in memory and in a stream alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data.reversal import reverse_tokens
from ..data.token_blocks import encode_documents
from .recipes.training_recipe import Recipe


class TextRows:
    """Cuts texts into rows of at most ``data.max_length`` tokens.

    For a causal language model the texts, each ended by the end token, are laid one after the other and cut into blocks
    of exactly that length. For the other objectives a row is a text, or a piece of a long one, with its own special
    tokens; `data.packing` lays several in one row of a batch.

    Args:
        recipe: says the task, the length, and whether texts are reversed.
        tokenizer: of the model.
    """

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.limit = recipe.data.max_length
        self.in_blocks = recipe.task == "causal_lm"
        self.reverse = recipe.data.reverse
        self._special = frozenset(tokenizer.all_special_ids)

    def ids(self, texts: list[str]) -> list[Sequence[int]]:
        """The ids of whole texts (causal), or of texts in pieces that fit."""
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
        """The rows that some texts of a stream make.

        Args:
            texts: the next texts.
            rest: `(tokens,)`, what the texts before them left over.

        Returns:
            The rows, and what is left over and begins the next ones.
        """
        pieces = [np.asarray(ids, dtype=np.int32) for ids in self.ids(texts)]
        if not self.in_blocks:
            return pieces, rest
        ids = np.concatenate([rest, *pieces])
        full = len(ids) - len(ids) % self.limit
        # Copies: a row that waits in a shuffle buffer must not hold the memory of all others.
        return [ids[begin : begin + self.limit].copy() for begin in range(0, full, self.limit)], ids[full:].copy()
