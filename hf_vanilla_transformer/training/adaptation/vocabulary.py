"""Adds the frequent words of a domain to a tokenizer, without changing how it splits everything else.

Each algorithm gets new words in its own way. The segmentation of a text stays the same, except that a new token
replaces the pieces of its word:

* BPE: merges of the word's pieces, after all other merges. Intermediate merges become tokens, too.
* Unigram: a piece whose score is slightly above the sum of its pieces' scores.
* WordPiece: an added token that matches whole words only. An entry of the vocabulary would also match the beginning of
  other words. (The token also matches next to a symbol such as ★, which BERT counts as part of the word.)
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ...progress import progress_bar

# A new Unigram piece that replaces n pieces scores n − 1 times this margin above their sum. The margin decides between
# a word and its pieces, and between two words of which one contains the other; other segmentations differ by more.
_MARGIN = 1e-7
_BYTE = re.compile(r"^<0x[0-9A-F]{2}>$")
# Characters for a space in Metaspace and byte-level BPE.
_SPACES = " ▁Ġ"


@dataclass(frozen=True)
class FrequentWord:
    """A word that the tokenizer splits into several pieces.

    Attributes:
        text: the word as it is written.
        unit: the word as the tokenizer's model receives it, with characters such as `▁` or `Ġ`.
        pieces: ids of its pieces.
        count: number of occurrences in the text.
    """

    text: str
    unit: str
    pieces: tuple[int, ...]
    count: int


@dataclass
class ExtendedTokenizer:
    """A tokenizer with new words.

    Attributes:
        tokenizer: the extended tokenizer; old tokens keep their ids.
        pieces: for the id of each new token, the ids of the pieces that it replaces.
        words: the added words, most frequent first.
        left_out: words that could not be added, with the reason.
    """

    tokenizer: PreTrainedTokenizerBase
    pieces: dict[int, tuple[int, ...]] = field(default_factory=dict)
    words: list[FrequentWord] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def frequent_words(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, *, min_count: int = 10, progress: bool = False
) -> list[FrequentWord]:
    """The words of a text that the tokenizer splits, most frequent first; ties are in Unicode order.

    A word is a unit of the pre-tokenizer that consists of letters. Words with unknown characters are left out, because
    an unknown token carries no information about them.

    Args:
        texts: the domain text.
        tokenizer: a tokenizer of the `tokenizers` library.
        min_count: rarer words are left out.
        progress: show a progress bar.

    Raises:
        ValueError: the tokenizer has no pre-tokenizer, or does not belong to the `tokenizers` library.
    """
    backend = _backend(tokenizer)
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    if splitter is None:
        raise ValueError(
            "The tokenizer does not split text into words (it has no pre-tokenizer), so no words can be added; "
            "keep it unchanged with adaptation.new_words=0."
        )
    counts: Counter[str] = Counter()
    surfaces: dict[str, str] = {}
    for text in progress_bar(texts, description="counting words", unit="text", show=None if progress else False):
        normalized = normalizer.normalize_str(text) if normalizer is not None else text
        for unit, (begin, end) in splitter.pre_tokenize_str(normalized):
            counts[unit] += 1
            if unit not in surfaces:
                surfaces[unit] = normalized[begin:end].strip(_SPACES)
    unknown = tokenizer.unk_token_id
    words = []
    for unit, count in counts.items():
        if count < min_count or not _is_word(surfaces[unit]):
            continue
        tokens = backend.model.tokenize(unit)
        if len(tokens) < 2 or any(token.id == unknown or _BYTE.match(token.value) for token in tokens):
            continue
        words.append(FrequentWord(surfaces[unit], unit, tuple(token.id for token in tokens), count))
    return sorted(words, key=lambda word: (-word.count, word.unit))


def extend_tokenizer(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[FrequentWord], new_tokens: int
) -> ExtendedTokenizer:
    """Adds the first of `words` that can be added to a copy of `tokenizer`, with at most `new_tokens` new tokens.

    The result is a plain transformers tokenizer, which `AutoTokenizer` loads after saving; `tokenizer` does not change.

    Args:
        tokenizer: of the base model.
        words: result of `frequent_words` for this tokenizer.
        new_tokens: the most entries that the vocabulary may grow by. In BPE, a word of more than two pieces also needs
            an entry for each of its intermediate merges.

    Raises:
        ValueError: this kind of tokenizer cannot be extended without changing the segmentation of other words.
    """
    backend = _backend(tokenizer)
    extended = ExtendedTokenizer(tokenizer)
    first = max(tokenizer.get_vocab().values()) + 1
    model = backend.model
    if isinstance(model, models.WordPiece):
        changed = _extend_word_piece(backend, words, new_tokens, first, extended)
    elif isinstance(model, (models.BPE, models.Unigram)):
        saved = json.loads(backend.to_str())
        add = _extend_bpe if isinstance(model, models.BPE) else _extend_unigram
        add(saved, words, new_tokens, first, extended)
        changed = Tokenizer.from_str(json.dumps(saved))
    else:
        raise ValueError(
            f"A {type(model).__name__} tokenizer cannot be extended, only BPE, WordPiece and Unigram; keep it "
            "unchanged with adaptation.new_words=0."
        )
    if extended.pieces:
        extended.tokenizer = _rewrapped(tokenizer, changed)
        _check_ids(tokenizer, extended)
    return extended


def unfolded(ids: Sequence[int], pieces: dict[int, tuple[int, ...]]) -> list[int]:
    """A row of ids with each new token replaced by its pieces."""
    return [part for token in ids for part in pieces.get(token, (token,))]


def differing_texts(texts: Sequence[str], before: PreTrainedTokenizerBase, extended: ExtendedTokenizer) -> list[str]:
    """The texts whose segmentation changed beyond the new words; usually none, except for ties and unusual symbols."""
    old = before(list(texts), verbose=False)["input_ids"]
    new = extended.tokenizer(list(texts), verbose=False)["input_ids"]
    return [text for text, one, other in zip(texts, old, new) if unfolded(other, extended.pieces) != list(one)]


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(
            f"A {type(tokenizer).__name__} does not belong to the tokenizers library and cannot be extended; keep it "
            "unchanged with adaptation.new_words=0."
        )
    return backend


def _is_word(text: str) -> bool:
    """At least two characters, all of them letters or combining marks."""
    return len(text) > 1 and all(unicodedata.category(character)[0] in "LM" for character in text)


def _extend_bpe(
    saved: dict[str, Any], words: Sequence[FrequentWord], limit: int, first: int, extended: ExtendedTokenizer
) -> None:
    """Appends merges after all others, so that they only join what the old merges left separate."""
    vocabulary: dict[str, int] = saved["model"]["vocab"]
    prefix = saved["model"].get("continuing_subword_prefix") or ""
    _keep_added_ids(saved, vocabulary)
    text_of = {index: token for token, index in vocabulary.items()}
    ranks: dict[tuple[int, int], int] = {}
    merged: dict[tuple[int, int], int] = {}
    for word in words:
        parts = _merge(list(word.pieces), ranks, merged)
        chain: list[tuple[int, int, str]] = []
        joined_text, free = text_of[parts[0]], True
        left = parts[0]
        for right in parts[1:]:
            joined_text += text_of[right].removeprefix(prefix)
            if joined_text in vocabulary:
                # A token with this text exists, built by other merges: the new merge would produce it in new places.
                extended.left_out[word.text] = f"{joined_text!r} is in the vocabulary already"
                free = False
                break
            new = first + len(extended.pieces) + len(chain)
            chain.append((left, right, joined_text))
            left = new
        if not free:
            continue
        if len(extended.pieces) + len(chain) > limit:
            if len(extended.pieces) >= limit:
                break
            continue
        for left, right, text in chain:
            new = first + len(extended.pieces)
            merged[left, right] = new
            ranks[left, right] = len(ranks)
            saved["model"]["merges"].append([text_of[left], text_of[right]])
            vocabulary[text] = new
            text_of[new] = text
            stands_for = [part for side in (left, right) for part in extended.pieces.get(side, (side,))]
            extended.pieces[new] = tuple(stands_for)
        extended.words.append(word)


def _merge(parts: list[int], ranks: dict[tuple[int, int], int], merged: dict[tuple[int, int], int]) -> list[int]:
    """Applies the new merges to the pieces of a word."""
    while True:
        pairs = [(ranks[pair], index) for index, pair in enumerate(pairwise(parts)) if pair in ranks]
        if not pairs:
            return parts
        _, index = min(pairs)
        parts = [*parts[:index], merged[parts[index], parts[index + 1]], *parts[index + 2 :]]


def _extend_unigram(
    saved: dict[str, Any], words: Sequence[FrequentWord], limit: int, first: int, extended: ExtendedTokenizer
) -> None:
    """Appends pieces that are slightly more probable than the pieces they replace."""
    pieces: list[list[Any]] = saved["model"]["vocab"]
    known = {piece for piece, _ in pieces}
    lowest = min(score for _, score in pieces)
    by_id = {added["id"]: added["content"] for added in saved["added_tokens"]}
    for index in range(len(pieces), first):
        if index not in by_id:
            raise ValueError(
                f"The ids of the tokenizer have a gap: there is no token {index}, but a token {first - 1}. No piece "
                "can be added; keep it unchanged with adaptation.new_words=0."
            )
        # Fills the id of an added token; its text is matched before the model runs.
        pieces.append([by_id[index], lowest])
    for word in words:
        if len(extended.pieces) >= limit:
            return
        if word.unit in known:
            extended.left_out[word.text] = f"{word.unit!r} is in the vocabulary already"
            continue
        score = sum(pieces[part][1] for part in word.pieces) + _MARGIN * (len(word.pieces) - 1)
        extended.pieces[len(pieces)] = word.pieces
        pieces.append([word.unit, score])
        extended.words.append(word)


def _extend_word_piece(
    backend: Tokenizer, words: Sequence[FrequentWord], limit: int, first: int, extended: ExtendedTokenizer
) -> Tokenizer:
    """Adds tokens that match whole words only."""
    if not isinstance(backend.pre_tokenizer, pre_tokenizers.BertPreTokenizer):
        raise ValueError(
            "This WordPiece tokenizer does not split words from punctuation as BERT's does, so a new word would "
            "change the pieces of its neighbours; keep it unchanged with adaptation.new_words=0."
        )
    changed = Tokenizer.from_str(backend.to_str())
    vocabulary = backend.get_vocab()
    for word in words:
        if len(extended.pieces) >= limit:
            break
        if word.text in vocabulary:
            extended.left_out[word.text] = f"{word.text!r} is in the vocabulary already"
            continue
        extended.pieces[first + len(extended.pieces)] = word.pieces
        extended.words.append(word)
    changed.add_tokens([AddedToken(word.text, single_word=True, normalized=True) for word in extended.words])
    return changed


def _keep_added_ids(saved: dict[str, Any], vocabulary: dict[str, int]) -> None:
    """Enters added tokens into the vocabulary with their ids, so that new tokens get ids after them."""
    for added in saved["added_tokens"]:
        vocabulary.setdefault(added["content"], added["id"])


def _rewrapped(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer) -> PreTrainedTokenizerFast:
    """A plain tokenizer around `backend`: the class of a model family would rebuild its own backend when loaded."""
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=list(tokenizer.model_input_names),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
        extra_special_tokens=list(tokenizer.extra_special_tokens),
        chat_template=tokenizer.chat_template,
        **tokenizer.special_tokens_map,
    )


def _check_ids(before: PreTrainedTokenizerBase, extended: ExtendedTokenizer) -> None:
    """Raises ValueError unless old tokens keep their ids and each new token has an id of its own."""
    old, new = before.get_vocab(), extended.tokenizer.get_vocab()
    moved = [token for token, index in old.items() if new.get(token) != index]
    if moved or len(new) != len(old) + len(extended.pieces):
        which = ", ".join(moved[:3]) or "their number"
        raise ValueError(
            f"Extending this tokenizer would change its ids ({which}); keep it unchanged with adaptation.new_words=0."
        )
