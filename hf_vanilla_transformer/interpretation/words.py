"""Pieces of words back into words, so that attention can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

# A run of letters, digits and what joins them inside a word ("l'homme", "vingt-deux", "1,5"), or one other character.
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*['’]?|[^\w\s]")


@dataclass(frozen=True)
class Words:
    """The words of a tokenized text.

    `names` are the words, special tokens such as `</s>` among them; `of_token` gives for each token the index of its
    word in `names`.
    """

    names: tuple[str, ...]
    of_token: tuple[int, ...]

    def sum_over(self, weights: torch.Tensor, dim: int) -> torch.Tensor:
        """`weights` with the tokens along `dim` added up to words: attention *to* a word is that to all its pieces."""
        shape = list(weights.shape)
        shape[dim] = len(self.names)
        index = torch.tensor(self.of_token, device=weights.device)
        return weights.new_zeros(shape).index_add_(dim, index, weights)

    def mean_over(self, weights: torch.Tensor, dim: int) -> torch.Tensor:
        """`weights` with the tokens along `dim` averaged to words: attention *from* a word is its pieces' mean."""
        counts = torch.bincount(torch.tensor(self.of_token), minlength=len(self.names)).to(weights)
        shape = [1] * weights.dim()
        shape[dim] = len(self.names)
        return self.sum_over(weights, dim) / counts.view(shape)


def split_words(text: str) -> list[tuple[str, int, int]]:
    """Words and punctuation marks with where they begin and end: "l'homme dort." gives `l'homme`, `dort` and `.`."""
    return [(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]


def tokens_as_words(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], Words]:
    """The ids of `text` with the special tokens that the tokenizer adds, and the words they belong to.

    Args:
        tokenizer: a fast tokenizer, which knows where in the text each token comes from.
        text: one sentence.

    Raises:
        ValueError: the tokenizer has no offsets, or the text no token.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{type(tokenizer).__name__} does not say where its tokens come from: use a fast tokenizer.")
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    if all(special):
        raise ValueError(f"The text {text!r} has no tokens: give a sentence.")
    spans = split_words(text)
    names: list[str] = []
    of_token: list[int] = []
    last = None
    for token_id, is_special, (start, end) in zip(ids, special, encoded["offset_mapping"]):
        span = None if is_special else _span_of(spans, start, end)
        if span is None or span != last:
            names.append(spans[span][0] if span is not None else tokenizer.convert_ids_to_tokens(token_id))
        of_token.append(len(names) - 1)
        last = span
    return ids, Words(tuple(names), tuple(of_token))


def _span_of(spans: list[tuple[str, int, int]], start: int, end: int) -> int | None:
    """The word that a token overlaps; a token that is only white space belongs to the word after it."""
    for index, (_, begin, stop) in enumerate(spans):
        if start < stop and (end > begin or start == end):
            return index
        if end <= begin:
            return index
    return len(spans) - 1 if spans else None
