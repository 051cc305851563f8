"""A synchronous grammar that generates English sentences together with their French translations.

Each rule builds both sides at the same time and links the words that translate each other, so each pair has a word
alignment. The French side has phenomena that word-by-word translation cannot produce: agreement in gender, number and
person, adjectives after the noun in reverse order ("the European economic area", "la zone économique européenne"),
negation around the verb, clitic pronouns before it, participles that agree with a preceding object, elision,
contraction, numbers and dates. Each English sentence has exactly one translation: `you` is `vous`, `they` is `ils`, and
`it` without an antecedent is masculine.

The test split requires compositional generalization. Some word combinations (an adjective with a noun, a verb with its
object) are held out: no training sentence contains them, and each test sentence contains at least one. All words of the
test split occur in the training split.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .english_french.sentences import SentenceGrammar
from .english_french.spelling import Word, spell_english, spell_french, written

SHORTEST, LONGEST = 4, 16
# One combination in eight, and the one in the best-known attention plot (Bahdanau et al. 2015, Figure 3a).
_HELD_OUT_PART = 8
_ALWAYS_HELD_OUT = frozenset({"economic area"})


@dataclass(frozen=True)
class SentencePair:
    """An English sentence and its French translation.

    Attributes:
        english, french: the sentences.
        english_words, french_words: the sentences, split at blanks and before punctuation.
        alignment: pairs of indices (English, French) of words that translate each other, from 0.
        combinations: the word combinations that decide whether the sentence is held out.
    """

    english: str
    french: str
    english_words: tuple[str, ...]
    french_words: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]
    combinations: frozenset[str]

    @property
    def held_out(self) -> bool:
        """Whether the sentence contains a combination that the training split must not contain."""
        return any(is_held_out(combination) for combination in self.combinations)

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words of both sides in lower case, split at apostrophes: "L'homme dort" has l, homme and dort."""
        words = " ".join((*self.english_words, *self.french_words)).lower().replace("'", " ")
        return frozenset(words.split())

    @property
    def crossings(self) -> int:
        """The number of alignment links that cross; 0 if both languages have the same order."""
        links = self.alignment
        return sum((i < k and j > m) or (i > k and j < m) for n, (i, j) in enumerate(links) for k, m in links[:n])


@dataclass(frozen=True)
class GrammarCorpus:
    """The three splits of a corpus. No English sentence occurs twice in it."""

    train: list[SentencePair]
    validation: list[SentencePair]
    test: list[SentencePair]


def is_held_out(combination: str) -> bool:
    """Whether a combination such as "red house" is held out; the same for every seed."""
    return combination in _ALWAYS_HELD_OUT or zlib.crc32(combination.encode()) % _HELD_OUT_PART == 0


def sentence_pairs(seed: int = 0) -> Iterator[SentencePair]:
    """An endless stream of sentence pairs with 4 to 16 words per side, determined by the seed."""
    generator = random.Random(seed)
    while True:
        fragment, punctuation = SentenceGrammar(generator).sentence()
        end = Word(punctuation, frozenset({-1}))
        english = spell_english((*fragment.english, end))
        french = spell_french((*fragment.french, end))
        if not all(SHORTEST <= len(words) - 1 <= LONGEST for words in (english, french)):
            continue
        yield SentencePair(
            english=written([word.text for word in english], blank_before_question_mark=False),
            french=written([word.text for word in french], blank_before_question_mark=True),
            english_words=_capitalised(english),
            french_words=_capitalised(french),
            alignment=tuple(
                (i, j) for i, left in enumerate(english) for j, right in enumerate(french) if left.links & right.links
            ),
            combinations=fragment.combinations,
        )


def _capitalised(words: list[Word]) -> tuple[str, ...]:
    first = words[0].text
    return (first[0].upper() + first[1:], *(word.text for word in words[1:]))


def grammar_corpus(train: int = 20_000, validation: int = 500, test: int = 500, *, seed: int = 0) -> GrammarCorpus:
    """Generates a corpus whose test sentences contain held-out combinations.

    Args:
        train, validation, test: the number of sentence pairs of each split.
        seed: of the random choices.

    Raises:
        ValueError: a size is below 1, or the grammar has too few different sentences.
    """
    sizes = {"train": train, "validation": validation, "test": test}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size} must be at least 1.")
    parts: dict[str, list[SentencePair]] = {"train": [], "validation": []}
    held_out: list[SentencePair] = []
    trained_words: set[str] = set()
    seen: set[str] = set()
    for drawn, pair in enumerate(sentence_pairs(seed)):
        if drawn > 100 * sum(sizes.values()) + 10_000:
            raise ValueError(f"The grammar has too few different sentences for {sizes}; lower the sizes.")
        if pair.english in seen:
            continue
        seen.add(pair.english)
        if pair.held_out:
            held_out.append(pair)
        elif len(parts["validation"]) < validation:  # first: independent of the training size
            parts["validation"].append(pair)
        elif len(parts["train"]) < train:
            parts["train"].append(pair)
            trained_words |= pair.vocabulary
        if len(parts["train"]) == train and len(held_out) >= test:
            # The training words are known only now. A test sentence must not contain unknown words.
            held_out = [pair for pair in held_out if pair.vocabulary <= trained_words]
            if len(held_out) >= test:
                break
    return GrammarCorpus(**parts, test=held_out[:test])
