"""From lists of words to text in both languages.

French: elision, contraction, and forms that change before a vowel.

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
# Begin with a vowel letter, but are pronounced with the consonant of "you".
_NO_AN = {"European", "useful"}


@dataclass(frozen=True)
class Word:
    """A word before spelling.

    Attributes:
        text: the word.
        links: identify its translation: two words are aligned if they share a link.
        before_vowel: the form before a vowel, if it differs. A form that ends in an apostrophe joins the next word.
        article: whether it contracts with a preposition; a clitic does not ("de le voir").
    """

    text: str
    links: frozenset[int] = frozenset()
    before_vowel: str = ""
    article: bool = False


def spell_french(words: Iterable[Word]) -> list[Word]:
    """The words in their spelling next to each other. Each result is separated by blanks; punctuation is separate."""
    spelled: list[Word] = []
    for word in reversed(list(words)):  # From right to left, because the form of a word depends on the next word.
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
    """The words in their spelling next to each other. Each result is separated by blanks; punctuation is separate."""
    words = list(words)
    spelled = []
    for word, following in zip(words, [*words[1:], Word(".")]):
        vowel = following.text[0].lower() in "aeiou" and following.text not in _NO_AN
        spelled.append(replace(word, text="an") if word.text == "a" and vowel else word)
    return spelled


def written(words: Sequence[str], *, blank_before_question_mark: bool) -> str:
    """The words as one line of text, with a capital first letter and no blank before punctuation.

    In French, a blank precedes a question mark.
    """
    text = ""
    for word in words:
        without_blank = word in (",", ".") or (word == "?" and not blank_before_question_mark)
        text += word if without_blank or not text else f" {word}"
    return text[0].upper() + text[1:]
