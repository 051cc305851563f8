"""A synchronous grammar that writes English sentences together with their French translations.

Each rule builds the two sides at once and links the words that translate each other, so that a pair comes with its
word alignment. The French side has what makes translation more than a dictionary: agreement in gender, number and
person, adjectives after the noun and in mirror order ("the European economic area", "la zone économique européenne"),
negation around the verb, clitic pronouns before it, participles that agree with a preceding object, elision,
contraction, numbers and dates. Every English sentence has one translation: `you` is `vous`, `they` is `ils`, a bare
`it` is masculine.

The test set asks for composition. Some pairs of words (an adjective with a noun, a verb with its object) are held
out: no training sentence contains one of them, each test sentence contains at least one. All of their words occur in
training.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .english_french.sentences import SentenceGrammar
from .english_french.spelling import Word, spell_english, spell_french, written

SHORTEST, LONGEST = 4, 16
# One pair in eight, and the one that the best-known picture of attention needs.
_HELD_OUT_PART = 8
_ALWAYS_HELD_OUT = frozenset({"economic area"})


@dataclass(frozen=True)
class SentencePair:
    """An English sentence and its French translation.

    `english_words` and `french_words` are the sentences cut at blanks and before punctuation; `alignment` pairs their
    indices (English, French), counted from 0. `combinations` are the pairs of words that the split looks at.
    """

    english: str
    french: str
    english_words: tuple[str, ...]
    french_words: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]
    combinations: frozenset[str]

    @property
    def held_out(self) -> bool:
        """Whether the sentence contains a combination that training never shows."""
        return any(is_held_out(combination) for combination in self.combinations)

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words of both sides in lower case, elided ones apart: "L'homme dort" has l, homme and dort."""
        words = " ".join((*self.english_words, *self.french_words)).lower().replace("'", " ")
        return frozenset(words.split())

    @property
    def crossings(self) -> int:
        """How many pairs of alignment links cross: 0 where both languages have the same order."""
        links = self.alignment
        return sum((i < k and j > m) or (i > k and j < m) for n, (i, j) in enumerate(links) for k, m in links[:n])


@dataclass(frozen=True)
class GrammarCorpus:
    """The three parts of a corpus; no English sentence occurs twice in it."""

    train: list[SentencePair]
    validation: list[SentencePair]
    test: list[SentencePair]


def is_held_out(combination: str) -> bool:
    """Whether a combination such as "red house" is kept for the test. The same in every corpus, whatever its seed."""
    return combination in _ALWAYS_HELD_OUT or zlib.crc32(combination.encode()) % _HELD_OUT_PART == 0


def sentence_pairs(seed: int = 0) -> Iterator[SentencePair]:
    """An endless stream of sentence pairs of 4 to 16 words on each side; the same for the same seed."""
    generator = random.Random(seed)
    while True:
        fragment, mark = SentenceGrammar(generator).sentence()
        end = Word(mark, frozenset({-1}))
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
    """A corpus with as many sentences in each part; the test part consists of sentences with held-out combinations.

    Raises:
        ValueError: if a size is not positive, or so large that the grammar runs out of new sentences.
    """
    sizes = {"train": train, "validation": validation, "test": test}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size} is not a size: give at least 1.")
    parts: dict[str, list[SentencePair]] = {"train": [], "validation": []}
    held_out: list[SentencePair] = []
    trained_words: set[str] = set()
    seen: set[str] = set()
    for drawn, pair in enumerate(sentence_pairs(seed)):
        if drawn > 100 * sum(sizes.values()) + 10_000:
            raise ValueError(f"The grammar has not enough different sentences for {sizes}: ask for fewer.")
        if pair.english in seen:
            continue
        seen.add(pair.english)
        if pair.held_out:
            held_out.append(pair)
        elif len(parts["validation"]) < validation:  # First, so that it stays the same when the training part grows.
            parts["validation"].append(pair)
        elif len(parts["train"]) < train:
            parts["train"].append(pair)
            trained_words |= pair.vocabulary
        if len(parts["train"]) == train and len(held_out) >= test:
            # Which words are trained is known only now; a test of unknown words would test nothing.
            held_out = [pair for pair in held_out if pair.vocabulary <= trained_words]
            if len(held_out) >= test:
                break
    return GrammarCorpus(**parts, test=held_out[:test])
