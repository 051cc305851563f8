"""Groups tokens into words, so that attention can be shown between words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

# A run of letters and digits with the characters that join them ("l'homme", "vingt-deux", "1,5"), or one other
# character.
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*['’]?|[^\w\s]")
# Zero-width non-joiner and joiner.
_JOINERS = "\u200c\u200d"
# White space in the pieces of tokenizers without offsets: SentencePiece (Marian) puts it before a word, BPE (FSMT, GPT)
# after it.
_WHITE_SPACE = ("▁", "</w>")


@dataclass(frozen=True)
class TokenWords:
    """The words of a tokenized text.

    Attributes:
        words: the words in order; each special token, such as `</s>`, is a word.
        word_of_token: for each token, the index of its word.
    """

    words: tuple[str, ...]
    word_of_token: tuple[int, ...]

    def sum_over(self, weights: torch.Tensor, dim: int) -> torch.Tensor:
        """Sums `weights` along `dim` from tokens to words: attention *to* a word is the sum over its tokens."""
        shape = list(weights.shape)
        shape[dim] = len(self.words)
        index = torch.tensor(self.word_of_token, device=weights.device)
        return weights.new_zeros(shape).index_add_(dim, index, weights)

    def mean_over(self, weights: torch.Tensor, dim: int) -> torch.Tensor:
        """Averages `weights` along `dim` from tokens to words: attention *from* a word is the mean over its tokens."""
        counts = torch.bincount(torch.tensor(self.word_of_token), minlength=len(self.words)).to(weights)
        shape = [1] * weights.dim()
        shape[dim] = len(self.words)
        return self.sum_over(weights, dim) / counts.view(shape)


def split_words(text: str) -> list[tuple[str, int, int]]:
    """Words and punctuation marks with their offsets: "l'homme dort." gives `l'homme`, `dort` and `.`.

    Combining marks belong to the word around them. `\\w` lacks them, but vowels of Hindi and Thai are such marks.
    """
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        begin, stop = match.span()
        if spans and spans[-1][1] == begin and (_joins(text[begin]) or _continues(text, begin)):
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((begin, stop))
    return [(text[begin:stop], begin, stop) for begin, stop in spans]


def _joins(character: str) -> bool:
    """Whether a character belongs to the word before it: a combining mark, or a joiner of the Indic scripts."""
    return unicodedata.category(character).startswith("M") or character in _JOINERS


def _continues(text: str, begin: int) -> bool:
    """Whether the letters at `begin` continue the word that a combining mark before them belongs to."""
    return text[begin].isalnum() and _joins(text[begin - 1])


def tokens_as_words(
    tokenizer: PreTrainedTokenizerBase, text: str, *, as_target: bool = False
) -> tuple[list[int], TokenWords]:
    """Tokenizes `text` with special tokens, and groups the tokens into words.

    Args:
        tokenizer: a fast tokenizer, which returns offsets, or one whose pieces contain white space, such as Marian's.
        text: one sentence.
        as_target: tokenize `text` as a translation. Some tokenizers use another vocabulary or other special tokens for
            it, such as the language token of `tgt_lang` (mBART, M2M100, NLLB).

    Returns:
        The ids of the tokens, and their words.

    Raises:
        ValueError: the tokenizer has neither offsets nor white space in its pieces, its `tgt_lang` is None, or the text
            has no tokens.
    """
    if as_target and hasattr(tokenizer, "_switch_to_target_mode") and getattr(tokenizer, "tgt_lang", "") is None:
        raise ValueError(
            f"{type(tokenizer).__name__} adds a language token to translations, but its tgt_lang is None; set it to a "
            "code of the tokenizer, for example tokenizer.tgt_lang = 'fra_Latn'."
        )
    texts = {"text_target": text} if as_target else {"text": text}
    encoded = tokenizer(**texts, return_offsets_mapping=tokenizer.is_fast, return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    if all(special):
        raise ValueError(f"text={text!r} has no tokens; give a sentence.")
    if tokenizer.is_fast:
        offsets = encoded["offset_mapping"]
    else:
        text, offsets = _pieces_as_text(tokenizer, tokenizer.convert_ids_to_tokens(ids), special)
    spans = _word_spans(split_words(text), offsets)
    words: list[str] = []
    word_of_token: list[int] = []
    last = None
    for token_id, is_special, (start, end) in zip(ids, special, offsets):
        word = None if is_special else _word_of(spans, start, end)
        if word is None or word != last:
            words.append(text[slice(*spans[word])] if word is not None else tokenizer.convert_ids_to_tokens(token_id))
        word_of_token.append(len(words) - 1)
        last = word
    return ids, TokenWords(tuple(words), tuple(word_of_token))


def _pieces_as_text(
    tokenizer: PreTrainedTokenizerBase, pieces: list[str], special: list[int]
) -> tuple[str, list[tuple[int, int]]]:
    """The text that the pieces spell, and the offsets of each piece in it; special tokens have empty offsets."""
    ordinary = [piece for piece, is_special in zip(pieces, special) if not is_special]
    if not any(space in piece for piece in ordinary for space in _WHITE_SPACE):
        raise ValueError(
            f"{type(tokenizer).__name__} has neither offsets nor white space in its pieces, so words cannot be found; "
            "use a fast tokenizer."
        )
    text, offsets = "", []
    for piece, is_special in zip(pieces, special):
        start = len(text)
        if not is_special:
            for space in _WHITE_SPACE:
                piece = piece.replace(space, " ")
            text += piece
        offsets.append((start, len(text)))
    return text, offsets


def _word_spans(words: list[tuple[str, int, int]], offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The offsets of the words; words that share a token, such as a word and its full stop, become one."""
    spans: list[tuple[int, int]] = []
    for _, begin, stop in words:
        if spans and any(start < spans[-1][1] and end > begin for start, end in offsets):
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((begin, stop))
    return spans


def _word_of(spans: list[tuple[int, int]], start: int, end: int) -> int | None:
    """The index of the word that a token overlaps; a token of white space belongs to the next word."""
    for index, (begin, stop) in enumerate(spans):
        if start < stop or end <= begin:
            return index
    return len(spans) - 1 if spans else None
