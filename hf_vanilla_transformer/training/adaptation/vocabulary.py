"""A tokenizer that knows the frequent words of a domain, and takes everything else apart as it did before.

Each algorithm gets new words in its own way, so that a text is segmented as before except that a new token stands for
the pieces it is made of:

* BPE: merges of the word's pieces, after all other merges. What a word needs on the way is a token too.
* Unigram: a piece whose score is the sum of its pieces' scores and a hair more.
* WordPiece: an added token that only a whole word matches. An entry of its vocabulary would also be the longest match
  at the beginning of other words. (It is found beside a symbol such as ★ too, which BERT takes for a part of the word.)
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

# A piece of Unigram that is made of n pieces is better than they are by n − 1 of these. It decides between a word and
# its pieces, and between two words of which one contains the other; what else there is to choose from differs by more.
_HAIR = 1e-7
_BYTE = re.compile(r"^<0x[0-9A-F]{2}>$")
# What Metaspace and byte-level BPE write for a space.
_SPACES = " ▁Ġ"


@dataclass(frozen=True)
class FrequentWord:
    """A word that the tokenizer takes apart.

    Attributes:
        text: the word as a person reads it.
        unit: what the tokenizer's model sees of it, marks included.
        pieces: ids of its pieces.
        count: how often it stands in the text.
    """

    text: str
    unit: str
    pieces: tuple[int, ...]
    count: int


@dataclass
class ExtendedTokenizer:
    """A tokenizer with new words.

    Attributes:
        tokenizer: the new one; ids of the old one are the same in both.
        pieces: id of each new token to the ids of the pieces it stands for.
        words: the words that are one token now, the most frequent first.
        left_out: words that could not be added, with the reason.
    """

    tokenizer: PreTrainedTokenizerBase
    pieces: dict[int, tuple[int, ...]] = field(default_factory=dict)
    words: list[FrequentWord] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def frequent_words(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, *, min_count: int = 10, progress: bool = False
) -> list[FrequentWord]:
    """The words of a text that the tokenizer takes apart, the most frequent first, equals in the order of Unicode.

    A word is what the tokenizer splits a text into before it looks for pieces, if it consists of letters. Words with
    characters that the tokenizer does not know are left out: an unknown token says nothing of them.

    Args:
        texts: the domain.
        tokenizer: a tokenizer of the `tokenizers` library.
        min_count: words that stand there less often are left out.
        progress: show a bar.

    Raises:
        ValueError: the tokenizer has no such split, or is not of the `tokenizers` library.
    """
    backend = _backend(tokenizer)
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    if splitter is None:
        raise ValueError(
            "The tokenizer does not split text into words (it has no pre-tokenizer), so there are no words to be "
            "added; keep it as it is with adaptation.new_words=0."
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
    found = []
    for unit, count in counts.items():
        if count < min_count or not _is_word(surfaces[unit]):
            continue
        tokens = backend.model.tokenize(unit)
        if len(tokens) < 2 or any(token.id == unknown or _BYTE.match(token.value) for token in tokens):
            continue
        found.append(FrequentWord(surfaces[unit], unit, tuple(token.id for token in tokens), count))
    return sorted(found, key=lambda word: (-word.count, word.unit))


def extend_tokenizer(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[FrequentWord], new_tokens: int
) -> ExtendedTokenizer:
    """A tokenizer with at most `new_tokens` more tokens: the first of `words` that can be added.

    It is a plain tokenizer of transformers, which `AutoTokenizer` loads from where it is saved; `tokenizer` is left
    alone.

    Args:
        tokenizer: of the base model.
        words: of `frequent_words` with this tokenizer.
        new_tokens: how many entries the vocabulary may grow by. A word of BPE that has more than two pieces needs one
            for each of its beginnings as well.

    Raises:
        ValueError: a kind of tokenizer that cannot be extended so that everything else stays as it is.
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
            f"A tokenizer of the kind {type(model).__name__} cannot be extended, only BPE, WordPiece and Unigram; keep "
            "it as it is with adaptation.new_words=0."
        )
    if extended.pieces:
        extended.tokenizer = _rewrapped(tokenizer, changed)
        _check_ids(tokenizer, extended)
    return extended


def unfolded(ids: Sequence[int], pieces: dict[int, tuple[int, ...]]) -> list[int]:
    """A row of ids with each new token replaced by what it stands for."""
    return [part for token in ids for part in pieces.get(token, (token,))]


def differing_texts(texts: Sequence[str], before: PreTrainedTokenizerBase, extended: ExtendedTokenizer) -> list[str]:
    """The texts that are segmented otherwise than before, new words apart: none, but for ties and odd neighbours."""
    old = before(list(texts), verbose=False)["input_ids"]
    new = extended.tokenizer(list(texts), verbose=False)["input_ids"]
    return [text for text, one, other in zip(texts, old, new) if unfolded(other, extended.pieces) != list(one)]


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(
            f"A {type(tokenizer).__name__} is not of the tokenizers library and cannot be extended; keep it as it is "
            "with adaptation.new_words=0."
        )
    return backend


def _is_word(text: str) -> bool:
    """At least two characters, all of them letters or marks on letters."""
    return len(text) > 1 and all(unicodedata.category(character)[0] in "LM" for character in text)


def _extend_bpe(
    saved: dict[str, Any], words: Sequence[FrequentWord], limit: int, first: int, extended: ExtendedTokenizer
) -> None:
    """Appends merges; those come after all others, so they join only what was left apart before."""
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
                # A token of this text is there, made in another way: the merge would bring it where it was not before.
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
    """What the new merges make of a word's pieces."""
    while True:
        pairs = [(ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in ranks]
        if not pairs:
            return parts
        _, place = min(pairs)
        parts = [*parts[:place], merged[parts[place], parts[place + 1]], *parts[place + 2 :]]


def _extend_unigram(
    saved: dict[str, Any], words: Sequence[FrequentWord], limit: int, first: int, extended: ExtendedTokenizer
) -> None:
    """Appends pieces that are as probable as the pieces they replace, and a hair more."""
    pieces: list[list[Any]] = saved["model"]["vocab"]
    known = {piece for piece, _ in pieces}
    lowest = min(score for _, score in pieces)
    by_id = {added["id"]: added["content"] for added in saved["added_tokens"]}
    for index in range(len(pieces), first):
        if index not in by_id:
            raise ValueError(
                f"The tokenizer has no token {index}, though it has {first - 1}, so that no piece can be added after "
                "it; keep it as it is with adaptation.new_words=0."
            )
        # The place of an added token; the text of it is found before the model sees any.
        pieces.append([by_id[index], lowest])
    for word in words:
        if len(extended.pieces) >= limit:
            return
        if word.unit in known:
            extended.left_out[word.text] = f"{word.unit!r} is in the vocabulary already"
            continue
        score = sum(pieces[part][1] for part in word.pieces) + _HAIR * (len(word.pieces) - 1)
        extended.pieces[len(pieces)] = word.pieces
        pieces.append([word.unit, score])
        extended.words.append(word)


def _extend_word_piece(
    backend: Tokenizer, words: Sequence[FrequentWord], limit: int, first: int, extended: ExtendedTokenizer
) -> Tokenizer:
    """Adds tokens that match a word from boundary to boundary."""
    if not isinstance(backend.pre_tokenizer, pre_tokenizers.BertPreTokenizer):
        raise ValueError(
            "This WordPiece tokenizer does not split words from punctuation as BERT's does, so that a new word would "
            "change the pieces of its neighbours; keep it as it is with adaptation.new_words=0."
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
    """Tokens that were added after the vocabulary are numbered after it; an entry keeps their number as it is."""
    for added in saved["added_tokens"]:
        vocabulary.setdefault(added["content"], added["id"])


def _rewrapped(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer) -> PreTrainedTokenizerFast:
    """A plain tokenizer with another inside: classes of a model family would build their own again when loaded."""
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
    """Raises ValueError unless old tokens have their old ids and new words are the tokens they should be."""
    old, new = before.get_vocab(), extended.tokenizer.get_vocab()
    moved = [token for token, index in old.items() if new.get(token) != index]
    if moved or len(new) != len(old) + len(extended.pieces):
        which = ", ".join(moved[:3]) or "their number"
        raise ValueError(
            f"The ids of this tokenizer do not stay as they are when it is extended ({which}); keep it as it is with "
            "adaptation.new_words=0."
        )
