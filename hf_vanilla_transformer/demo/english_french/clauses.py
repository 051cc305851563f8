"""Clauses of the English-French grammar: a verb with its arguments, in three tenses, with negation and modal verbs.

English   subject   aux not|never   verb   objects                she   did not    give   it to him
French    subject   ne  clitics  finite  pas|jamais  rest         elle  ne  le lui a  pas  donné
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .lexicon import Gender, Verb
from .noun_phrases import FIRST, THIRD, NounPhrase, NounPhraseGrammar
from .spelling import Word

Tense = Literal["present", "past", "future"]
Negation = Literal["", "not", "never"]
Words = tuple[Word, ...]

_AVOIR = ("ai", "a", "avons", "avez", "ont")
_ETRE = ("suis", "est", "sommes", "êtes", "sont")
_ETRE_IMPERFECT = ("étais", "était", "étions", "étiez", "étaient")
_ETRE_FUTURE = ("serai", "sera", "serons", "serez", "seront")
_FUTURE_ENDINGS = ("ai", "a", "ons", "ez", "ont")


@dataclass(frozen=True)
class Predicate:
    """A verb with its objects.

    Args:
        verb: the verb.
        link: links the verbs of both sides.
        english: the words after the English verb.
        french: the words after the French verb.
        clitics: the French object pronouns before the verb.
        agrees_with: gender and number of a direct object before the verb; the participle agrees with it.
        with_etre: whether the past is built with être, so that the participle agrees with the subject.
        combinations: the word combinations within the objects, and of verb and object.
    """

    verb: Verb
    link: frozenset[int]
    english: Words = ()
    french: Words = ()
    clitics: Words = ()
    agrees_with: tuple[Gender, bool] = ("m", False)
    with_etre: bool = False
    combinations: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fragment:
    """Part of a sentence, or a complete one without punctuation, in both languages."""

    english: Words = ()
    french: Words = ()
    combinations: frozenset[str] = field(default_factory=frozenset)

    def __add__(self, other: Fragment) -> Fragment:
        return Fragment(
            self.english + other.english, self.french + other.french, self.combinations | other.combinations
        )


def agreed(participle: str, gender: Gender, plural: bool) -> str:
    """The participle, or a regular adjective, with this gender and number: pris, prise, pris, prises."""
    feminine = participle + ("e" if gender == "f" else "")
    return feminine if not plural or feminine.endswith("s") else feminine + "s"


@dataclass(frozen=True)
class _Group:
    """All properties of a verb group, with the links of the negation and of the modal verb."""

    subject: NounPhrase
    predicate: Predicate
    tense: Tense
    negation: Negation = ""
    modal: Verb | None = None
    question: bool = False
    not_link: frozenset[int] = frozenset()
    modal_link: frozenset[int] = frozenset()

    def english(self) -> tuple[Words, Words]:
        """The auxiliary, which precedes the subject in a question, and the other words."""
        verb, link = self.predicate.verb, self.predicate.link
        third = self.subject.person == THIRD
        particle = (Word(verb.particle, link),) if verb.particle else ()
        base = (Word(verb.english, link), *particle)
        no = (Word("not", self.not_link),) if self.negation == "not" else ()
        never = (Word("never", self.not_link),) if self.negation == "never" else ()
        if self.modal is not None:
            return self._english_modal(third, no, base)
        if self.tense == "future":
            return (Word("will", link), *no, *never), base
        if no or self.question:
            do = "did" if self.tense == "past" else "does" if third else "do"
            return (Word(do), *no), base
        finite = verb.english_past if self.tense == "past" else verb.english_third if third else verb.english
        return never, (Word(finite, link), *particle)

    def _english_modal(self, third: bool, no: Words, base: Words) -> tuple[Words, Words]:
        modal, link = self.modal, self.modal_link
        if modal.english == "can" and no:
            return (Word("cannot", link | self.not_link),), base
        if modal.english in ("can", "must"):
            return (Word(modal.english, link), *no), base
        to_do = (Word("to"), *base)
        if no or self.question:
            return (Word("does" if third else "do"), *no), (Word(modal.english, link), *to_do)
        return (), (Word(modal.english_third if third else modal.english, link), *to_do)

    def french(self) -> Words:
        """The clitics, the finite verb with its negation, and the participle or infinitive."""
        predicate, link, person = self.predicate, self.predicate.link, self.subject.person
        verb = predicate.verb
        ne = (Word("ne", self.not_link),) if self.negation else ()
        pas = (Word("pas" if self.negation == "not" else "jamais", self.not_link),) if self.negation else ()
        # "Avoir besoin" is a verb of two words; only the first one is inflected.
        besoin = (Word("besoin", link),) if verb.infinitive == "avoir_besoin" else ()
        if self.modal is not None:
            finite = Word(self.modal.present[person], self.modal_link)
            infinitive = Word(verb.infinitive.removesuffix("_besoin"), link)
            return (*ne, finite, *pas, *predicate.clitics, infinitive, *besoin)
        if self.tense == "past":
            auxiliary = Word((_ETRE if predicate.with_etre else _AVOIR)[person], link)
            agreeing = (self.subject.gender, self.subject.plural) if predicate.with_etre else predicate.agrees_with
            return (*ne, *predicate.clitics, auxiliary, *pas, Word(agreed(verb.participle, *agreeing), link), *besoin)
        form = verb.present[person] if self.tense == "present" else verb.future + _FUTURE_ENDINGS[person]
        return (*ne, *predicate.clitics, Word(form, link), *pas, *besoin)


class ClauseGrammar(NounPhraseGrammar):
    """Combines subjects, predicates and negation; it makes no random choice."""

    def clause(
        self,
        subject: NounPhrase,
        predicate: Predicate,
        tense: Tense,
        *,
        negation: Negation = "",
        modal: Verb | None = None,
        question: bool = False,
    ) -> Fragment:
        """A main clause. `modal` ("wants to") needs the present tense, `question` a clause without negation."""
        links = self.link(), self.link()
        group = _Group(subject, predicate, tense, negation, modal, question, *links)
        auxiliary, verb = group.english()
        english = (*auxiliary, *subject.english) if question else (*subject.english, *auxiliary)
        asked = (Word("est-ce"), Word("que")) if question else ()
        return Fragment(
            (*english, *verb, *predicate.english),
            (*asked, *subject.french, *group.french(), *predicate.french),
            subject.combinations | predicate.combinations,
        )

    def without_subject(self, subject: NounPhrase, predicate: Predicate, tense: Tense) -> Fragment:
        """A clause that agrees with this subject without repeating it, for use after `and` or `who`."""
        group = _Group(subject, predicate, tense)
        auxiliary, verb = group.english()
        return Fragment(
            (*auxiliary, *verb, *predicate.english), (*group.french(), *predicate.french), predicate.combinations
        )

    def to_be(self, subject: NounPhrase, tense: Tense, negation: Negation = "") -> Fragment:
        """The subject with a form of `to be`, for use before an adjective or a place."""
        link, not_link = self.link(), self.link()
        if tense == "present":
            english, french = {FIRST: "am", THIRD: "is"}.get(subject.person, "are"), _ETRE[subject.person]
        elif tense == "past":
            english, french = "was" if subject.person in (FIRST, THIRD) else "were", _ETRE_IMPERFECT[subject.person]
        else:
            english, french = "will", _ETRE_FUTURE[subject.person]
        negative = (Word("not" if negation == "not" else "never", not_link),) if negation else ()
        be = (Word("be", link),) if tense == "future" else ()
        ne: Words = (Word("ne", not_link),) if negation else ()
        pas: Words = (Word("pas" if negation == "not" else "jamais", not_link),) if negation else ()
        return Fragment(
            (*subject.english, Word(english, link), *negative, *be),
            (*subject.french, *ne, Word(french, link), *pas),
            subject.combinations,
        )

    def passive(self, subject: NounPhrase, english: str, participle: str) -> Fragment:
        """ "The agreement was signed": l'accord a été signé; the participle agrees with the subject."""
        link, was = self.link(), self.link()
        return Fragment(
            (*subject.english, Word("were" if subject.plural else "was", was), Word(english, link)),
            (
                *subject.french,
                Word("ont" if subject.plural else "a", was),
                Word("été", was),
                Word(agreed(participle, subject.gender, subject.plural), link),
            ),
            subject.combinations,
        )
