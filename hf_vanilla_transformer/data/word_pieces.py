"""From words to tokens: which word each token belongs to, and long sentences cut between words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from .long_texts import LongTexts


@dataclass
class EncodedWords:
    """Sentences as rows of a model.

    Attributes:
        input_ids: the token ids of each row, with special tokens.
        word_ids: for each token the index of its word in the row, from 0; -1 for special tokens.
        sentences: the index of the sentence of which each row is (a part).
        first_words: the index of the first word of each row in its sentence; above 0 only in windows.
        words: the number of words of each row.
        long: the number of sentences longer than `max_length`.
    """

    input_ids: list[list[int]]
    word_ids: list[list[int]]
    sentences: list[int]
    first_words: list[int]
    words: list[int]
    long: int

    def __len__(self) -> int:
        return len(self.input_ids)


def encode_words(
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[Sequence[str]],
    *,
    max_length: int,
    long: LongTexts = "truncate",
    overlap: int | None = None,
    split: str = "data",
) -> EncodedWords:
    """Tokenizes sentences that are lists of words. Each word is tokenized by itself, so no token spans two words.

    A word has the tokens that it would have in running text, with the space before it if the tokenizer distinguishes
    it (byte-level BPE). If a word has no tokens, such as a lone zero-width space, it becomes the unknown token.

    Args:
        tokenizer: a fast tokenizer.
        sentences: the words of each sentence; at least one per sentence.
        max_length: the maximum number of tokens of a row, with special tokens.
        long: ``truncate`` keeps the first words, ``window`` makes several rows of complete words, ``refuse`` raises.
        overlap: the maximum number of tokens that adjacent windows share; a quarter of `max_length` by default.
        split: the name of the sentences in errors.

    Raises:
        ValueError: the tokenizer is not fast; a word has more tokens than fit in a row, or has no tokens and there is
            no unknown token; a sentence is too long with ``refuse``; or an argument is illegal.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{type(tokenizer).__name__} does not map tokens to words; use a fast tokenizer.")
    if long not in ("truncate", "window", "refuse"):
        raise ValueError(f"long must be 'truncate', 'window' or 'refuse', but is {long!r}.")
    space = _space_belongs_to_words(tokenizer)
    result = EncodedWords([], [], [], [], [], 0)
    too_long: list[str] = []
    for number, words in enumerate(sentences):
        ids, word_ids = _pieces(tokenizer, words, space, f"{split}:{number}")
        if len(ids) <= max_length:
            _add(result, ids, word_ids, number, 0)
            continue
        result.long += 1
        if long == "refuse":
            too_long.append(f"{split}:{number} ({len(ids):,} tokens)")
            continue
        share = max_length // 4 if overlap is None else overlap
        for first, part in enumerate(_parts(ids, word_ids, max_length, share, f"{split}:{number}")):
            if first and long == "truncate":
                break
            _add(result, part[0], part[1], number, part[2])
    if too_long:
        raise ValueError(
            f"{len(too_long):,} of {len(sentences):,} sentences are longer than max_length={max_length} tokens: "
            f"{', '.join(too_long[:3])}{', ...' if len(too_long) > 3 else ''}. Split them, allow more tokens, or "
            "choose truncate or window."
        )
    return result


def _add(result: EncodedWords, ids: list[int], word_ids: list[int], sentence: int, first_word: int) -> None:
    result.input_ids.append(ids)
    result.word_ids.append(word_ids)
    result.sentences.append(sentence)
    result.first_words.append(first_word)
    result.words.append(max(word_ids) + 1)


def _space_belongs_to_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a word in a text has other tokens than the word alone, because of the space before it."""
    options = {"add_special_tokens": False, "verbose": False}
    running = tokenizer("a a", **options)["input_ids"]
    spaced = tokenizer(["a", " a"], is_split_into_words=True, **options)["input_ids"]
    alone = tokenizer(["a", "a"], is_split_into_words=True, **options)["input_ids"]
    return running == spaced and running != alone


def _pieces(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[str], space: bool, location: str
) -> tuple[list[int], list[int]]:
    """The token ids of a sentence, with special tokens, and the index of the word of each."""
    shown = [f" {word}" if space and index else word for index, word in enumerate(words)]
    for attempt in range(2):
        encoded = tokenizer(shown, is_split_into_words=True, verbose=False)
        word_ids = [-1 if word is None else word for word in encoded.word_ids()]
        lost = sorted(set(range(len(words))) - set(word_ids))
        if not lost:
            return encoded["input_ids"], word_ids
        if attempt or tokenizer.unk_token is None:
            break
        for index in lost:
            shown[index] = tokenizer.unk_token
    raise ValueError(
        f"{location}: the word {words[lost[0]]!r} has no tokens, and the tokenizer has no unknown token for it; "
        "correct the sentence."
    )


def _parts(
    ids: list[int], word_ids: list[int], max_length: int, overlap: int, location: str
) -> list[tuple[list[int], list[int], int]]:
    """Windows of complete words between special tokens: token ids, word indices from 0, and the first word."""
    begins: list[int] = []  # the offset of each word, and the end of the last one
    for position, word in enumerate(word_ids):
        if word == len(begins):
            begins.append(position)
    end = max(position for position, word in enumerate(word_ids) if word >= 0) + 1
    begins.append(end)
    before, after = ids[: begins[0]], ids[end:]
    room = max_length - len(before) - len(after)
    longest = max(stop - start for start, stop in pairwise(begins))
    if longest > room:
        raise ValueError(
            f"{location} has a word of {longest} tokens, but max_length={max_length} leaves room for {room}; raise it."
        )
    parts = []
    first, words = 0, len(begins) - 1
    while True:
        last = first  # the first word after the window
        while last < words and begins[last + 1] - begins[first] <= room:
            last += 1
        inner = ids[begins[first] : begins[last]]
        numbers = [word - first for word in word_ids[begins[first] : begins[last]]]
        parts.append(([*before, *inner, *after], [-1] * len(before) + numbers + [-1] * len(after), first))
        if last == words:
            return parts
        following = last
        while following - 1 > first and begins[last] - begins[following - 1] <= overlap:
            following -= 1
        first = following


__all__ = ["EncodedWords", "encode_words"]
