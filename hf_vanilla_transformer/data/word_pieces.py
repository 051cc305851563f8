"""From words to the pieces of a tokenizer: which token is of which word, and long sentences cut between words."""

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
        input_ids: tokens of each row, special tokens included.
        word_ids: for each token the number of its word in the row, from 0; -1 for special tokens.
        sentences: which sentence each row is (a part of).
        first_words: the number of the first word of each row in its sentence; above 0 only in windows.
        words: how many words each row has.
        long: how many sentences were longer than allowed.
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
    """Tokenises sentences that are lists of words, each word by itself, so that no token belongs to two.

    A word is read as it would be in running text, with the space before it where the tokenizer cares (byte-level BPE).
    A word of which a tokenizer leaves nothing, such as a lone zero-width space, becomes its unknown token.

    Args:
        tokenizer: a fast one.
        sentences: the words of each, none of them empty.
        max_length: most tokens of a row, special tokens included.
        long: ``truncate`` keeps the first words, ``window`` makes several rows of whole words, ``refuse`` raises.
        overlap: tokens (at most) that neighbouring windows share; a quarter of `max_length` by default.
        split: what the sentences are, for errors.

    Raises:
        ValueError: the tokenizer is not a fast one, a word of more tokens than a row has room for, a word without
            tokens and no unknown token, a long sentence with ``refuse``, or an illegal argument.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{type(tokenizer).__name__} does not say which word a token is of: use a fast tokenizer.")
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
            f"{len(too_long):,} of {len(sentences):,} sentences are longer than {max_length} tokens: "
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
    """Whether a word within a text is other tokens than the same word alone, because of the space before it."""
    options = {"add_special_tokens": False, "verbose": False}
    running = tokenizer("a a", **options)["input_ids"]
    spaced = tokenizer(["a", " a"], is_split_into_words=True, **options)["input_ids"]
    alone = tokenizer(["a", "a"], is_split_into_words=True, **options)["input_ids"]
    return running == spaced and running != alone


def _pieces(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[str], space: bool, place: str
) -> tuple[list[int], list[int]]:
    """The tokens of a sentence with special ones, and their words."""
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
        f"{place}: the tokenizer makes no token of the word {words[lost[0]]!r}, and has no unknown token for it; "
        "correct the sentence."
    )


def _parts(
    ids: list[int], word_ids: list[int], max_length: int, overlap: int, place: str
) -> list[tuple[list[int], list[int], int]]:
    """Windows of whole words, each in the special tokens of the sentence: ids, words from 0, and the first word."""
    begins: list[int] = []  # where each word begins, and where the last one ends
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
            f"{place} has a word of {longest} tokens, but a row of {max_length} has room for {room}; allow more tokens."
        )
    parts = []
    first, words = 0, len(begins) - 1
    while True:
        last = first  # the first word that is not in the window
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
