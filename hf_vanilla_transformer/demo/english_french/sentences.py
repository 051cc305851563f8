"""The sentences of the English-French grammar: one method per pattern, each with a weight."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from . import lexicon
from .clauses import ClauseGrammar, Fragment, Predicate, Tense
from .lexicon import MOTION, Adjective, Noun, Verb
from .noun_phrases import (
    FIRST,
    FIRST_PLURAL,
    IT,
    PERSON_CLITICS,
    SECOND,
    THEM,
    THIRD,
    Clitic,
    NounPhrase,
)
from .numbers import dated, english_number, french_number
from .spelling import Word

_TIMES: dict[Tense, tuple[tuple[str, str], ...]] = {
    "present": (("today", "aujourd'hui"), ("every day", "chaque jour"), ("now", "maintenant")),
    "past": (("yesterday", "hier"), ("last week", "la semaine dernière"), ("last month", "le mois dernier")),
    "future": (("tomorrow", "demain"), ("next week", "la semaine prochaine"), ("next year", "l'année prochaine")),
}
_PLACES = (("in", "dans"), ("behind", "derrière"), ("in front of", "devant"), ("near", "près de"))
_ADVERBS = (("often", "souvent"), ("always", "toujours"), ("sometimes", "parfois"))
_SAYING = (("think", "thinks", "pense"), ("believe", "believes", "crois"), ("know", "knows", "sais"))
_SAYING_FORMS = {
    "pense": ("pense", "pense", "pensons", "pensez", "pensent"),
    "crois": ("crois", "croit", "croyons", "croyez", "croient"),
    "sais": ("sais", "sait", "savons", "savez", "savent"),
}
# A subject and an object of the same person would need a reflexive pronoun, which the grammar does not have.
_OWN_CLITICS = {FIRST: {"me", "us"}, FIRST_PLURAL: {"me", "us"}, SECOND: {"you"}}


class SentenceGrammar(ClauseGrammar):
    """Generates one random sentence; `sentence()` chooses the pattern."""

    patterns = {
        "transitive": 26, "modal": 9, "question": 7, "ditransitive": 11, "motion": 9, "intransitive": 6,
        "predicative": 10, "existential": 4, "mass": 6, "prepositional": 6, "passive": 8, "antecedent": 8, "who": 5,
        "that": 4, "reported": 5, "costs": 3, "age": 2,
    }  # fmt: skip

    def sentence(self) -> tuple[Fragment, str]:
        """A sentence without its final punctuation, and the punctuation mark."""
        pattern = self.generator.choices(list(self.patterns), list(self.patterns.values()))[0]
        return getattr(self, f"_{pattern}")(), "?" if pattern == "question" else "."

    # Predicates

    def _object(self, verb: Verb, *, negated: bool) -> NounPhrase:
        phrase = self.noun_phrase(verb.kinds, negated=negated)
        combination = frozenset({f"{verb.english} {phrase.noun.english}"})
        return replace(phrase, combinations=phrase.combinations | combination)

    def _clitic_for(self, verb: Verb, subject: NounPhrase, tense: Tense) -> Clitic:
        things = [IT["m"], THEM["m"]] if verb.kinds - {"person"} else []
        excluded = _OWN_CLITICS.get(subject.person, set())
        if tense == "past":
            excluded = excluded | {"you"}  # The participle would depend on whether "vous" is one person or several.
        persons = [clitic for clitic in PERSON_CLITICS if clitic.english not in excluded]
        return self.choose(persons if "person" in verb.kinds else things)

    def _with_clitic(self, verb: Verb, clitic: Clitic) -> Predicate:
        link = self.link()
        return Predicate(
            verb,
            self.link(),
            english=(Word(clitic.english, link),),
            clitics=(replace(clitic.direct, links=link),),
            agrees_with=(clitic.gender, clitic.plural),
        )

    def _with_object(self, verb: Verb, phrase: NounPhrase) -> Predicate:
        return Predicate(verb, self.link(), phrase.english, phrase.french, combinations=phrase.combinations)

    def _direct(
        self, subject: NounPhrase, tense: Tense, *, negated: bool, clitics: float, wanted: bool = False
    ) -> Predicate:
        """A transitive verb with a clitic or a noun phrase as its object."""
        # "Had" is usually imparfait, which the grammar does not have.
        stative = {"have"} if tense == "past" else {"have", "like", "know"} if wanted else set()
        verb = self.choose([verb for verb in lexicon.TRANSITIVE if verb.english not in stative])
        if tense == "past" and verb.english == "read" and subject.person != THIRD and not negated:
            verb = lexicon.TRANSITIVE[0]  # "I read" can be present or past, so its translation would be ambiguous.
        if self.chance(clitics) and verb.english != "have":
            return self._with_clitic(verb, self._clitic_for(verb, subject, tense))
        return self._with_object(verb, self._object(verb, negated=negated))

    # Adverbials

    def _tense(self) -> Tense:
        return self.generator.choices(("present", "past", "future"), (50, 32, 18))[0]

    def _time(self, tense: Tense) -> tuple[str, str]:
        draw = self.generator.random()
        if draw < 0.55:
            return self.choose(_TIMES[tense])
        if draw < 0.7:
            hour = self.generator.randint(1, 11)
            hours = "heure" if hour == 1 else "heures"
            return f"at {english_number(hour)} o'clock", f"à {french_number(hour, feminine=True)} {hours}"
        years = {"past": (1950, 2020), "future": (2031, 2060)}
        if tense == "present" or draw < 0.76:
            weekday, jour = self.choose(list(lexicon.WEEKDAYS.items()))
            return ("on " + weekday, jour) if tense != "present" else (f"every {weekday}", f"chaque {jour}")
        day = date(self.generator.randint(*years[tense]), 1, 1) + timedelta(days=self.generator.randrange(365))
        if draw < 0.86:
            month, mois = list(lexicon.MONTHS.items())[day.month - 1]
            return f"in {month} {day.year}", f"en {mois} {day.year}"
        return dated(day, weekday=draw > 0.95)

    def _timed(self, sentence: Fragment, tense: Tense, probability: float) -> Fragment:
        """The sentence, possibly with a time at its beginning or its end."""
        if not self.chance(probability):
            return sentence
        english, french = self._adverbial(*self._time(tense))
        if self.chance(0.4):
            comma = (Word(",", self.link()),)
            return Fragment((*english, *comma), (*french, *comma)) + sentence
        return sentence + Fragment(english, french)

    def _adverbial(self, english: str, french: str) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
        """Links word by word if both sides have the same number of words, otherwise all with all."""
        if len(english.split()) != len(french.split()):
            return self.words(english, french)
        pairs = [self.words(*words) for words in zip(english.split(), french.split())]
        return tuple(pair[0][0] for pair in pairs), tuple(pair[1][0] for pair in pairs)

    def _place(self) -> Fragment:
        if self.chance(0.25):
            english, french = self._adverbial("in " + (city := self.choose(lexicon.CITIES)), "à " + city)
            return Fragment(english, french)
        english, french = self.words(*self.choose(_PLACES))
        place = self.noun_phrase(
            {"place"}, determiners=("the", "my", "his", "our"), adjectives=1, owner=0.1, plurals=0.1
        )
        return Fragment((*english, *place.english), (*french, *place.french), place.combinations)

    # Patterns

    def _transitive(self) -> Fragment:
        subject, tense = self.subject(), self._tense()
        negation = self.generator.choices(("", "not", "never"), (62, 28, 10))[0]
        predicate = self._direct(subject, tense, negated=bool(negation), clitics=0.38)
        if tense == "present" and not negation and self.chance(0.25):
            return self._often(subject, predicate)
        return self._timed(self.clause(subject, predicate, tense, negation=negation), tense, 0.3)

    def _often(self, subject: NounPhrase, predicate: Predicate) -> Fragment:
        """ "He often sees her": the adverb precedes the verb in English, and follows it in French."""
        link = self.link()
        adverb, adverbe = self.choose(_ADVERBS)
        spoken = replace(predicate, french=(Word(adverbe, link), *predicate.french))
        rest = self.without_subject(subject, spoken, "present")
        return Fragment(
            (*subject.english, Word(adverb, link), *rest.english),
            (*subject.french, *rest.french),
            subject.combinations | rest.combinations,
        )

    def _modal(self) -> Fragment:
        subject = self.subject()
        negation = self.generator.choices(("", "not"), (60, 40))[0]
        predicate = self._direct(subject, "present", negated=bool(negation), clitics=0.5, wanted=True)
        return self.clause(subject, predicate, "present", negation=negation, modal=self.choose(lexicon.MODAL))

    def _question(self) -> Fragment:
        subject, tense = self.subject(), self._tense()
        modal = self.choose(lexicon.MODAL[:2]) if tense == "present" and self.chance(0.4) else None
        predicate = self._direct(subject, tense, negated=False, clitics=0.4, wanted=modal is not None)
        return self.clause(subject, predicate, tense, modal=modal, question=True)

    def _ditransitive(self) -> Fragment:
        subject, tense = self.subject(), self._tense()
        negation = self.generator.choices(("", "not"), (70, 30))[0]
        verb, link = self.choose(lexicon.DITRANSITIVE), self.link()
        given = self._object(verb, negated=bool(negation))
        excluded = _OWN_CLITICS.get(subject.person, set())
        receiver = self.choose([clitic for clitic in PERSON_CLITICS if clitic.english not in excluded])
        to, receives = self.link(), self.link()
        dative = replace(receiver.dative, links=receives)
        draw = self.generator.random()
        if draw < 0.35:
            person = self.noun_phrase({"person"}, determiners=("the", "my", "his", "our"), adjectives=1, owner=0)
            english = (*given.english, Word("to", to), *person.english)
            french = (*given.french, Word("à", to), *person.french)
            predicate = Predicate(verb, link, english, french, combinations=given.combinations | person.combinations)
        elif draw < 0.65:
            english = (Word(receiver.english, receives), *given.english)
            predicate = Predicate(verb, link, english, given.french, (dative,), combinations=given.combinations)
        else:
            given_clitic = self.choose((IT["m"], THEM["m"]))
            it = self.link()
            english = (Word(given_clitic.english, it), Word("to", receives), Word(receiver.english, receives))
            direct = replace(given_clitic.direct, links=it)
            # "Il me le donne", but "il le lui donne".
            clitics = (direct, dative) if receiver.dative.text in ("lui", "leur") else (dative, direct)
            predicate = Predicate(verb, link, english, (), clitics, (given_clitic.gender, given_clitic.plural))
        return self._timed(self.clause(subject, predicate, tense, negation=negation), tense, 0.15)

    def _motion(self) -> Fragment:
        subject = self.subject()
        # "Vous" does not determine the number of the participle.
        tense = self._tense() if subject.person != SECOND else "present"
        negation = self.generator.choices(("", "not", "never"), (70, 22, 8))[0]
        verb = self.choose(MOTION)
        link = self.link()
        place = self.noun_phrase({"place"}, determiners=("the", "my", "his", "our"), adjectives=1, owner=0, plurals=0.1)
        predicate = Predicate(
            verb,
            link,
            place.english,
            (Word("de" if "de" in verb.kinds else "à", link), *place.french),
            with_etre=True,
            combinations=place.combinations,
        )
        return self._timed(self.clause(subject, predicate, tense, negation=negation), tense, 0.45)

    def _intransitive(self) -> Fragment:
        subject, tense = self.subject(), self._tense()
        negation = self.generator.choices(("", "not", "never"), (65, 25, 10))[0]
        verb = self.choose(lexicon.INTRANSITIVE)
        clause = self.clause(subject, Predicate(verb, self.link()), tense, negation=negation)
        return self._timed(clause + self._place(), tense, 0.25)

    def _quality(self, noun: Noun | None, *, of_person: bool = False) -> Adjective:
        """An adjective that can be used alone after `to be`."""
        kinds = frozenset({"person"}) if of_person or noun is None else noun.kinds
        return self.choose([adjective for adjective in lexicon.adjectives_for(kinds) if 0 < adjective.rank < 3])

    def _being(self, subject: NounPhrase, tense: Tense, negation: str = "") -> Fragment:
        adjective, link = self._quality(subject.noun), self.link()
        very = self.words("very", "très") if self.chance(0.25) else ((), ())
        combination = {f"{adjective.english} {subject.noun.english}"} if subject.noun else ()
        described = Fragment(
            (*very[0], Word(adjective.english, link)),
            (*very[1], Word(adjective.french(subject.gender, subject.plural), link)),
            frozenset(combination),
        )
        return self.to_be(subject, tense, negation) + described

    def _describable(self) -> NounPhrase:
        kinds = self.choose(("person", "animal", "thing", "clothing", "institution", "text"))
        return self.noun_phrase({kinds}, determiners=("the", "this", "my", "his", "her", "our", "your"), adjectives=1)

    def _predicative(self) -> Fragment:
        tense = self._tense()
        negation = self.generator.choices(("", "not", "never"), (66, 28, 6))[0]
        person = self.subject()
        subject = person if self.chance(0.4) and person.person != SECOND else self._describable()
        return self._timed(self._being(subject, tense, negation), tense, 0.12 if subject is person else 0)

    def _existential(self) -> Fragment:
        negated = self.chance(0.35)
        kinds = {self.choose(("person", "animal", "thing"))}
        determiners = ("a",) if negated else ("a", "some", "number")
        found = self.noun_phrase(kinds, determiners=determiners, adjectives=1, owner=0, negated=negated)
        there, no = self.link(), self.link()
        if negated:  # "There is no cat": il n'y a pas de chat.
            english = (Word("there", there), Word("is", there), Word("no", no), *found.english[1:])
            ne, pas, de = Word("ne", no), Word("pas", no), replace(found.french[0], links=no)
            french = (Word("il", there), ne, Word("y", there), Word("a", there), pas, de, *found.french[1:])
        else:
            english = (Word("there", there), Word("are" if found.plural else "is", there), *found.english)
            french = (Word("il", there), Word("y", there), Word("a", there), *found.french)
        return Fragment(english, french, found.combinations) + self._place()

    def _mass(self) -> Fragment:
        subject, tense = self.subject(), self._tense()
        negation = self.generator.choices(("", "not", "never"), (60, 28, 12))[0]
        verb = self.choose(lexicon.MASS_VERBS)
        noun = self.choose([noun for noun in lexicon.MASS_NOUNS if noun.kinds & verb.kinds])
        some, link = self.link(), self.link()
        of = Word("de", some)
        # The partitive: du pain, de la viande, de l'eau, but "pas de pain".
        article = () if negation else (Word("la" if noun.gender == "f" else "le", some, "l'", article=True),)
        predicate = Predicate(
            verb,
            self.link(),
            english=(Word("any" if negation else "some", some), Word(noun.english, link)),
            french=(of, *article, Word(noun.french, link)),
            combinations=frozenset({f"{verb.english} {noun.english}"}),
        )
        return self._timed(self.clause(subject, predicate, tense, negation=negation), tense, 0.35)

    def _prepositional(self) -> Fragment:
        subject, tense = self.subject(), self._tense()
        negation = self.generator.choices(("", "not", "never"), (66, 26, 8))[0]
        verb = self.choose(lexicon.PREPOSITIONAL)
        kinds = verb.kinds - {"de", "à"}
        phrase = self.noun_phrase(kinds, determiners=("the", "a", "this", "my", "his", "our", "number"))
        link = self.link()
        preposition = Word("à" if "à" in verb.kinds else "de", link)
        predicate = Predicate(
            verb,
            link,
            phrase.english,
            (preposition, *phrase.french),
            combinations=phrase.combinations | {f"{verb.english} {phrase.noun.english}"},
        )
        return self._timed(self.clause(subject, predicate, tense, negation=negation), tense, 0.2)

    def _passive(self) -> Fragment:
        """ "The agreement on the European economic area was signed in August 1992." """
        determiners = ("the", "this")
        subject = self.noun_phrase({"law"}, determiners=determiners, owner=0.2)
        if self.chance(0.4):
            matters = [
                noun
                for noun in lexicon.nouns_of(frozenset({"institution"}))
                if not (noun is subject.noun or "body" in noun.kinds)
            ]
            matter = self.noun_phrase((), noun=self.choose(matters), determiners=determiners, owner=0)
            on, sur = self.words("on", "sur")
            subject = replace(
                subject,
                english=(*subject.english, *on, *matter.english),
                french=(*subject.french, *sur, *matter.french),
                combinations=subject.combinations | matter.combinations,
            )
        return self._timed(self.passive(subject, *self.choose(list(lexicon.PASSIVE_VERBS.items()))), "past", 0.6)

    def _antecedent(self) -> Fragment:
        """ "Marie takes the letter and reads it": `it` has the gender of its antecedent."""
        subject, tense = self.subject(), self._tense()
        verb = self.choose([verb for verb in lexicon.TRANSITIVE if verb.english not in ("read", "have")])
        kinds = verb.kinds - {"person"} or verb.kinds
        phrase = self.noun_phrase(kinds, determiners=("the", "this", "my", "his", "our"), owner=0, plurals=0.25)
        possible = [
            other
            for other in lexicon.TRANSITIVE
            if other.kinds & phrase.noun.kinds and other.english not in (verb.english, "read", "have")
        ]
        if "person" in phrase.noun.kinds:
            clitic = THEM[phrase.gender] if phrase.plural else PERSON_CLITICS[4 if phrase.gender == "f" else 3]
        else:
            clitic = (THEM if phrase.plural else IT)[phrase.gender]
        combination = frozenset({f"{verb.english} {phrase.noun.english}"})
        phrase = replace(phrase, combinations=phrase.combinations | combination)
        first = self.clause(subject, self._with_object(verb, phrase), tense)
        second = self.without_subject(subject, self._with_clitic(self.choose(possible), clitic), tense)
        return first + Fragment(*self.words("and", "et")) + second

    def _who(self) -> Fragment:
        """ "The man who sells the cars is French." """
        person = self.noun_phrase({"person"}, determiners=("the", "this", "my"), adjectives=1, owner=0)
        tense: Tense = self.choose(("present", "future"))
        clause = self.without_subject(person, self._direct(person, tense, negated=False, clitics=0.35), tense)
        return self._with_relative(person, ("who", "qui"), clause)

    def _that(self) -> Fragment:
        """ "The book that Paul reads is interesting." """
        verb = self.choose([verb for verb in lexicon.TRANSITIVE if verb.kinds - {"person", "open", "wash"}])
        described = [noun for noun in lexicon.nouns_of(verb.kinds) if self._can_stand_alone(noun)]
        phrase = self.noun_phrase((), noun=self.choose(described), determiners=("the",), adjectives=1, owner=0)
        tense: Tense = self.choose(("present", "future"))
        clause = self.clause(self.subject(), Predicate(verb, self.link()), tense)
        clause = replace(clause, combinations=clause.combinations | {f"{verb.english} {phrase.noun.english}"})
        return self._with_relative(phrase, ("that", "que"), clause)

    def _can_stand_alone(self, noun: Noun) -> bool:
        return any(0 < adjective.rank < 3 for adjective in lexicon.adjectives_for(noun.kinds))

    def _with_relative(self, phrase: NounPhrase, pronoun: tuple[str, str], clause: Fragment) -> Fragment:
        english, french = self.words(*pronoun)
        extended = replace(
            phrase,
            english=(*phrase.english, *english, *clause.english),
            french=(*phrase.french, *french, *clause.french),
            combinations=phrase.combinations | clause.combinations,
        )
        return self._being(extended, "present", self.generator.choices(("", "not"), (75, 25))[0])

    def _reported(self) -> Fragment:
        """ "I think that she sees him": je pense qu'elle le voit."""
        speaker = self.subject()
        say, says, verb = self.choose(_SAYING)
        link = self.link()
        report = Fragment(
            (*speaker.english, Word(says if speaker.person == THIRD else say, link)),
            (*speaker.french, Word(_SAYING_FORMS[verb][speaker.person], link)),
            speaker.combinations,
        )
        subject, tense = self.subject(), self._tense()
        negation = self.generator.choices(("", "not"), (70, 30))[0]
        predicate = self._direct(subject, tense, negated=bool(negation), clitics=0.45)
        return report + Fragment(*self.words("that", "que")) + self.clause(subject, predicate, tense, negation=negation)

    def _costs(self) -> Fragment:
        subject = self.noun_phrase({"thing", "clothing"}, determiners=("the", "this", "my", "your"), owner=0.15)
        number = self.generator.randint(2, 99)
        costs, euros = self.words("cost" if subject.plural else "costs", "coûtent" if subject.plural else "coûte")
        price = self.words(english_number(number), french_number(number))
        currency = self.words("euros", "euros")
        return Fragment(
            (*subject.english, *costs, *price[0], *currency[0]),
            (*subject.french, *euros, *price[1], *currency[1]),
            subject.combinations,
        )

    def _age(self) -> Fragment:
        """ "Paul is thirty-one years old": Paul a trente et un ans."""
        person = self.subject(pronouns=False)
        person = self.name() if person.plural else person
        number, link = self.generator.randint(2, 99), self.link()
        age, years = self.words(english_number(number), french_number(number)), self.link()
        return Fragment(
            (*person.english, Word("is", link), *age[0], Word("years", years), Word("old", years)),
            (*person.french, Word("a", link), *age[1], Word("ans", years)),
            person.combinations,
        )
