"""Noun phrases of the English-French grammar: pronouns, names, and nouns with determiner, adjectives and owner."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from . import lexicon
from .lexicon import Gender, Noun
from .numbers import english_number, french_number
from .spelling import Word

T = TypeVar("T")
# The index of a French verb form: je, il or elle, nous, vous, ils or elles.
FIRST, THIRD, FIRST_PLURAL, SECOND, THIRD_PLURAL = range(5)
Determiner = Literal["the", "a", "some", "this", "my", "your", "his", "her", "our", "their", "number"]

_POSSESSIVES = {  # English: French masculine (also feminine before a vowel), feminine, plural
    "my": ("mon", "ma", "mes"), "his": ("son", "sa", "ses"), "her": ("son", "sa", "ses"),
    "your": ("votre", "votre", "vos"), "our": ("notre", "notre", "nos"), "their": ("leur", "leur", "leurs"),
}  # fmt: skip
_DETERMINERS: dict[Determiner, int] = {
    "the": 38, "a": 16, "some": 8, "this": 9, "number": 9,
    "my": 5, "your": 3, "his": 4, "her": 4, "our": 3, "their": 3,
}  # fmt: skip
_PLAIN = {"adjectives": 1, "owner": 0.0, "plurals": 0.0}  # Options for an owner: singular, at most one adjective.
_SUBJECT_PRONOUNS = (
    ("I", "je", FIRST, "m"), ("he", "il", THIRD, "m"), ("she", "elle", THIRD, "f"), ("we", "nous", FIRST_PLURAL, "m"),
    ("you", "vous", SECOND, "m"), ("they", "ils", THIRD_PLURAL, "m"),
)  # fmt: skip


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase in both languages, with the features with which the rest of the sentence agrees.

    `combinations` are the word combinations ("red house") that decide whether a sentence is held out.
    """

    english: tuple[Word, ...]
    french: tuple[Word, ...]
    person: int
    gender: Gender
    plural: bool
    noun: Noun | None = None
    combinations: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Clitic:
    """An object pronoun: after the verb in English, before it in French."""

    english: str
    direct: Word
    dative: Word
    gender: Gender
    plural: bool


def _clitic(english: str, direct: str, dative: str, gender: Gender = "m", plural: bool = False) -> Clitic:
    before_vowel = "l'" if direct in ("le", "la") else ""
    return Clitic(english, Word(direct, before_vowel=before_vowel), Word(dative), gender, plural)


PERSON_CLITICS = (
    _clitic("me", "me", "me"),
    _clitic("you", "vous", "vous", plural=True),
    _clitic("us", "nous", "nous", plural=True),
    _clitic("him", "le", "lui"),
    _clitic("her", "la", "lui", "f"),
    _clitic("them", "les", "leur", plural=True),
)
IT = {"m": _clitic("it", "le", "lui"), "f": _clitic("it", "la", "lui", "f")}
THEM = {"m": PERSON_CLITICS[-1], "f": _clitic("them", "les", "leur", "f", plural=True)}


class NounPhraseGrammar:
    """Generates random noun phrases. One object generates one sentence, and numbers the links between its sides.

    Args:
        generator: makes all random choices.
    """

    def __init__(self, generator: random.Random):
        self.generator = generator
        self._links = itertools.count()

    def link(self) -> frozenset[int]:
        """A new link between words of both sides."""
        return frozenset({next(self._links)})

    def choose(self, items: Sequence[T]) -> T:
        """One of the items; all are equally likely."""
        return self.generator.choice(items)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.generator.random() < probability

    def words(self, english: str, french: str) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
        """Two phrases from text; all of their words are linked to each other."""
        link = self.link()
        return tuple(Word(word, link) for word in english.split()), tuple(Word(word, link) for word in french.split())

    def subject(self, *, pronouns: bool = True) -> NounPhrase:
        """An agent: a pronoun, a name, or one or two persons."""
        draw = self.generator.random()
        if pronouns and draw < 0.42:
            english, french, person, gender = self.choose(_SUBJECT_PRONOUNS)
            link = self.link()
            return NounPhrase(
                (Word(english, link),), (Word(french, link),), person, gender, person in (FIRST_PLURAL, THIRD_PLURAL)
            )
        if draw < 0.57:
            return self.name()
        if draw < 0.64:
            return self.both(self.noun_phrase({"person"}, determiners=("the", "my", "his"), adjectives=0), self.name())
        return self.noun_phrase({"person"}, adjectives=1, owner=0.04)

    def name(self) -> NounPhrase:
        """A first name, the same in both languages."""
        gender: Gender = self.choose(("m", "f"))
        name = self.choose(lexicon.MASCULINE_NAMES if gender == "m" else lexicon.FEMININE_NAMES)
        english, french = self.words(name, name)
        return NounPhrase(english, french, THIRD, gender, plural=False)

    def both(self, first: NounPhrase, second: NounPhrase) -> NounPhrase:
        """Two noun phrases with `and`: plural, and masculine unless both are feminine."""
        english, french = self.words("and", "et")
        gender: Gender = "f" if first.gender == second.gender == "f" else "m"
        combinations = first.combinations | second.combinations
        return NounPhrase(
            first.english + english + second.english,
            first.french + french + second.french,
            THIRD_PLURAL,
            gender,
            plural=True,
            combinations=combinations,
        )

    def noun_phrase(
        self,
        kinds: Iterable[str],
        *,
        noun: Noun | None = None,
        determiners: Sequence[Determiner] | None = None,
        adjectives: int = 2,
        owner: float = 0.12,
        plurals: float = 0.35,
        negated: bool = False,
    ) -> NounPhrase:
        """A noun of one of these kinds, with determiner and adjectives.

        Args:
            kinds: the kinds of nouns to choose from.
            noun: this noun instead of a random one.
            determiners: the determiners to choose from (all by default).
            adjectives: the maximum number of adjectives.
            owner: the probability of an owner ("the teacher's book", "the report of the commission").
            plurals: the probability of the plural, if the determiner permits both numbers.
            negated: whether it is the direct object of a negated verb, where `a` and `some` become `de`.
        """
        noun = noun or self.choose(lexicon.nouns_of(frozenset(kinds)))
        # Most persons, such as a king, have no owner.
        ownable = "person" not in noun.kinds or "close" in noun.kinds
        if ownable and (determiners is None or "the" in determiners) and self.chance(owner):
            return self._owned(noun, adjectives)
        choices = tuple(determiners or _DETERMINERS)
        if not ownable:
            choices = tuple(choice for choice in choices if choice not in _POSSESSIVES)
        determiner = self.generator.choices(choices, [_DETERMINERS[choice] for choice in choices])[0]
        plural = determiner in ("some", "number") or (determiner != "a" and self.chance(plurals))
        number = self.generator.choice((2, 3, 4, 5, 6, 7, 8, 9, 10, self.generator.randint(11, 99)))
        english, french, combinations, french_before = self._described(noun, plural, adjectives)
        determined = self._determiner(determiner, noun.gender, plural, number, negated, french_before)
        person = THIRD_PLURAL if plural else THIRD
        return NounPhrase(
            determined[0] + english, determined[1] + french, person, noun.gender, plural, noun, combinations
        )

    def _described(
        self, noun: Noun, plural: bool, most: int
    ) -> tuple[tuple[Word, ...], tuple[Word, ...], frozenset[str], bool]:
        """The noun with adjectives, and whether the French side begins with an adjective."""
        link = self.link()
        wanted = self.generator.choices(range(most + 1), (45, 40, 15)[: most + 1])[0]
        chosen = self._adjectives(noun, wanted)
        english, before, after = [], [], []
        for adjective in chosen:
            adjective_link = self.link()
            english.append(Word(adjective.english, adjective_link))
            vowel_form = adjective.before_vowel if noun.gender == "m" and not plural else ""
            word = Word(adjective.french(noun.gender, plural), adjective_link, vowel_form)
            (before if adjective.before else after).append(word)
        english.append(Word(noun.english_plural if plural else noun.english, link))
        # After the noun, French has the reverse order of English: the adjective nearest to the noun stays nearest.
        french = [*before, Word(noun.french_plural if plural else noun.french, link), *reversed(after)]
        combinations = frozenset(f"{adjective.english} {noun.english}" for adjective in chosen)
        return tuple(english), tuple(french), combinations, bool(before)

    def _adjectives(self, noun: Noun, wanted: int) -> list[lexicon.Adjective]:
        """Adjectives of different ranks, in English order."""
        candidates = lexicon.adjectives_for(noun.kinds)
        chosen: dict[int, lexicon.Adjective] = {}
        while candidates and len(chosen) < wanted:
            adjective = self.choose(candidates)
            chosen[adjective.rank] = adjective
            candidates = tuple(other for other in candidates if other.rank != adjective.rank)
        return [chosen[rank] for rank in sorted(chosen)]

    def _determiner(
        self, determiner: Determiner, gender: Gender, plural: bool, number: int, negated: bool, adjective_first: bool
    ) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
        link = self.link()
        feminine = gender == "f"
        if determiner == "number":
            return self.words(english_number(number), french_number(number, feminine))
        if determiner == "the":
            article = "les" if plural else "la" if feminine else "le"
            vowel_form = "" if plural else "l'"
            return (Word("the", link),), (Word(article, link, vowel_form, article=True),)
        if determiner == "a":
            article = "de" if negated else "une" if feminine else "un"
            return (Word("a", link),), (Word(article, link),)
        if determiner == "some":
            # "des livres", but "de petits livres" and "pas de livres".
            article = "de" if negated or adjective_first else "des"
            return (Word("any" if negated else "some", link),), (Word(article, link),)
        if determiner == "this":
            french = Word("ces", link) if plural else Word("cette", link) if feminine else Word("ce", link, "cet")
            return (Word("these" if plural else "this", link),), (french,)
        masculine, feminine_form, plural_form = _POSSESSIVES[determiner]
        form = plural_form if plural else feminine_form if feminine else masculine
        return (Word(determiner, link),), (Word(form, link, "" if plural else masculine),)

    def _owned(self, noun: Noun, adjectives: int) -> NounPhrase:
        """ "the teacher's red book" (le livre rouge du professeur), "the reform of the system"."""
        plural = self.chance(0.25)
        english, french, combinations, _ = self._described(noun, plural, min(adjectives, 1))
        the_english, the_french = self._determiner("the", noun.gender, plural, 0, False, False)
        of = self.link()
        kinds = "body" if "institution" in noun.kinds else "place" if "house" in noun.kinds else "person"
        if kinds == "person":
            owner = self.name() if self.chance(0.4) else self.noun_phrase({kinds}, determiners=("the",), **_PLAIN)
            # The English genitive replaces the article.
            the_french = (replace(the_french[0], links=frozenset()),)
            genitive = replace(
                owner.english[-1], text=owner.english[-1].text + "'s", links=owner.english[-1].links | of
            )
            english = (*owner.english[:-1], genitive, *english)
        else:
            others = [other for other in lexicon.nouns_of(frozenset({kinds})) if other is not noun]
            owner = self.noun_phrase((), noun=self.choose(others), determiners=("the",), **_PLAIN)
            english = (*the_english, *english, Word("of", of), *owner.english)
        return NounPhrase(
            english,
            (*the_french, *french, Word("de", of), *owner.french),
            THIRD_PLURAL if plural else THIRD,
            noun.gender,
            plural,
            noun,
            combinations | owner.combinations,
        )
