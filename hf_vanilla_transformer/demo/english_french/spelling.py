"""From lists of words to spelled text in both languages.

French: elision, contraction and the forms that change before a vowel.

    de + le + chat    -> du chat            à + les + enfants -> aux enfants
    le + homme        -> l'homme            ma + amie         -> mon amie
    vieux + hôtel     -> vieil hôtel        ne + a            -> n'a

English: `a` becomes `an` before a vowel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .lexicon import starts_with_vowel

_ELIDED = {"je", "ne", "me", "de", "que"}
_CONTRACTED = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}
# Written with a vowel, spoken with the consonant of "you".
_NO_AN = {"European", "useful"}


@dataclass(frozen=True)
class Word:
    """A word on its way into a sentence.

    `links` name the words of the other language that it translates: two words are aligned when they share a link.
    `before_vowel` is the form before a vowel, where it differs; a form that ends in an apostrophe is written together
    with the next word. Only an `article` contracts with a preposition (a clitic does not: "de le voir").
    """

    text: str
    links: frozenset[int] = frozenset()
    before_vowel: str = ""
    article: bool = False


def spell_french(words: Iterable[Word]) -> list[Word]:
    """The words as they are spelled next to each other; each result stands between blanks (punctuation stays apart)."""
    spelled: list[Word] = []
    for word in reversed(list(words)):  # From the right: the form of a word hangs on the one that follows.
        following = spelled[-1] if spelled else None
        if following is not None and following.article and (word.text, following.text) in _CONTRACTED:
            spelled[-1] = Word(_CONTRACTED[word.text, following.text], word.links | following.links)
            continue
        if following is not None and starts_with_vowel(following.text):
            form = word.before_vowel or (word.text[:-1] + "'" if word.text in _ELIDED else word.text)
            if form.endswith("'"):
                spelled[-1] = Word(form + following.text, word.links | following.links)
                continue
            word = replace(word, text=form)
        spelled.append(word)
    return spelled[::-1]


def spell_english(words: Iterable[Word]) -> list[Word]:
    """The words as they are spelled next to each other; each result stands between blanks (punctuation stays apart)."""
    words = list(words)
    spelled = []
    for word, following in zip(words, [*words[1:], Word(".")]):
        vowel = following.text[0].lower() in "aeiou" and following.text not in _NO_AN
        spelled.append(replace(word, text="an") if word.text == "a" and vowel else word)
    return spelled


def written(words: Sequence[str], *, blank_before_question_mark: bool) -> str:
    """The words as one line of text: the first letter is a capital, punctuation follows without a blank.

    French typography puts a blank before a question mark.
    """
    text = ""
    for word in words:
        closes_up = word in (",", ".") or (word == "?" and not blank_before_question_mark)
        text += word if closes_up or not text else f" {word}"
    return text[0].upper() + text[1:]
