"""Pieces of words back into words, so that attention can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

# A run of letters, digits and what joins them inside a word ("l'homme", "vingt-deux", "1,5"), or one other character.
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*['’]?|[^\w\s]")
# How the pieces of tokenizers without offsets mark white space: SentencePiece (Marian) before, BPE (FSMT, GPT) after.
_WHITE_SPACE = ("▁", "</w>")


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


def tokens_as_words(
    tokenizer: PreTrainedTokenizerBase, text: str, *, as_target: bool = False
) -> tuple[list[int], Words]:
    """The ids of `text` with the special tokens that the tokenizer adds, and the words they belong to.

    Args:
        tokenizer: a fast tokenizer, which knows where in the text each token comes from, or one whose pieces mark white
            space, such as Marian's.
        text: one sentence.
        as_target: whether it is a translation, which some tokenizers cut or frame in another way than a source. Those
            that mark the language (mBART, M2M100, NLLB) mark it as their `tgt_lang`.

    Raises:
        ValueError: the tokenizer does not say where words begin or does not know the target's language, or the text has
            no token.
    """
    if as_target and hasattr(tokenizer, "_switch_to_target_mode") and getattr(tokenizer, "tgt_lang", "") is None:
        raise ValueError(
            f"{type(tokenizer).__name__} marks the language of a translation, but its tgt_lang is None: set it, for "
            "example tokenizer.tgt_lang = 'fra_Latn', as the tokenizer writes the code."
        )
    texts = {"text_target": text} if as_target else {"text": text}
    encoded = tokenizer(**texts, return_offsets_mapping=tokenizer.is_fast, return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    if all(special):
        raise ValueError(f"The text {text!r} has no tokens: give a sentence.")
    if tokenizer.is_fast:
        offsets = encoded["offset_mapping"]
    else:
        text, offsets = _pieces_as_text(tokenizer, tokenizer.convert_ids_to_tokens(ids), special)
    units = _units(split_words(text), offsets)
    names: list[str] = []
    of_token: list[int] = []
    last = None
    for token_id, is_special, (start, end) in zip(ids, special, offsets):
        unit = None if is_special else _unit_of(units, start, end)
        if unit is None or unit != last:
            names.append(text[slice(*units[unit])] if unit is not None else tokenizer.convert_ids_to_tokens(token_id))
        of_token.append(len(names) - 1)
        last = unit
    return ids, Words(tuple(names), tuple(of_token))


def _pieces_as_text(
    tokenizer: PreTrainedTokenizerBase, pieces: list[str], special: list[int]
) -> tuple[str, list[tuple[int, int]]]:
    """The text that the pieces spell, and where in it each of them lies; special ones take no room."""
    usual = [piece for piece, is_special in zip(pieces, special) if not is_special]
    if not any(mark in piece for piece in usual for mark in _WHITE_SPACE):
        raise ValueError(
            f"{type(tokenizer).__name__} says neither where its tokens come from nor where words begin: use a fast "
            "tokenizer."
        )
    text, offsets = "", []
    for piece, is_special in zip(pieces, special):
        start = len(text)
        if not is_special:
            for mark in _WHITE_SPACE:
                piece = piece.replace(mark, " ")
            text += piece
        offsets.append((start, len(text)))
    return text, offsets


def _units(spans: list[tuple[str, int, int]], offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where the words lie; those that a token holds together, such as a word and its full stop, are one."""
    units: list[tuple[int, int]] = []
    for _, begin, stop in spans:
        if units and any(start < units[-1][1] and end > begin for start, end in offsets):
            units[-1] = (units[-1][0], stop)
        else:
            units.append((begin, stop))
    return units


def _unit_of(units: list[tuple[int, int]], start: int, end: int) -> int | None:
    """The word that a token overlaps; a token that is only white space belongs to the word after it."""
    for index, (begin, stop) in enumerate(units):
        if start < stop or end <= begin:
            return index
    return len(units) - 1 if units else None
