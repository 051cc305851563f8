"""Text into sentences and back, with nothing between them lost."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# Where a sentence may end: a mark, then quotes or brackets that close, then white space; the marks of Chinese and
# Japanese need no space after them. A line break always ends one.
_END = re.compile(r"(?P<mark>[.!?…]+[\"'”’»)\]]*)(?=\s)|[。！？]+[」』”’）]*|(?=\n)")

# What stands before a full stop that ends no sentence: titles and the like in the languages of Europe, and initials.
_WITH_FULL_STOP = """
    mr mrs ms dr prof st rev gen col capt lt sgt sen rep gov jr sr inc ltd co corp vs etc cf al e.g i.e approx
    fig figs eq sec ch vol pp p a.m p.m u.s u.k
    m mm mme mlle mlles mgr
    bzw ca d.h ggf hr hrsg nr sog str u.a usw vgl z.b z.t
    sra srta ud uds sig dott ing
"""
_ABBREVIATIONS = frozenset(_WITH_FULL_STOP.split())
_BEFORE = re.compile(r"[^\s\"'“‘«(\[]*$")
_SPACE = re.compile(r"\s*")
_NO_SPACE_AFTER = "。！？」』）"


class Sentence(NamedTuple):
    """A sentence and the white space that followed it."""

    text: str
    gap: str


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of `text`. Their texts and gaps, put together, are `text` again, but for space at its very start.

    A full stop ends a sentence if white space follows and then anything but a lower-case letter, unless it belongs to
    an abbreviation, an initial or an ordinal; one with a space before it, as in tokenised text, always does. Line
    breaks end sentences as well. There is no model behind this: where it errs, it may split after an abbreviation
    that it does not know.

    Returns:
        The sentences; none if `text` is only white space.
    """
    sentences: list[Sentence] = []
    start = len(text) - len(text.lstrip())
    for match in _END.finditer(text):
        end = match.end()
        if end <= start or not text[start:end].strip():
            continue
        if match["mark"] is not None and not _ends_here(text, start, match):
            continue
        following = _SPACE.match(text, end).end()
        sentences.append(Sentence(text[start:end], text[end:following]))
        start = following
    if start < len(text):
        rest = text[start:].rstrip()
        sentences.append(Sentence(rest, text[start + len(rest) :]))
    return sentences


def join_sentences(sentences: Iterable[Sentence]) -> str:
    """Sentences with their gaps between them, such as translations with the gaps of their sources.

    Where a source had no gap, as in Chinese, a space is put unless the sentence itself ends like one of those.
    """
    parts: list[str] = []
    last = Sentence("", "")
    for sentence in sentences:
        if parts:
            closed = last.text.endswith(tuple(_NO_SPACE_AFTER))
            parts.append(last.gap or ("" if closed else " "))
        parts.append(sentence.text)
        last = sentence
    return "".join(parts)


def _ends_here(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether this mark, with white space after it, ends a sentence."""
    gap = _SPACE.match(text, match.end())
    if gap.end() == len(text) or "\n" in gap.group():
        return True
    if match.start() > start and text[match.start() - 1].isspace():
        return True  # tokenised text: the mark is a word of its own
    if text[gap.end()].islower():
        return False
    if not match["mark"].startswith(".") or match["mark"].startswith(".."):
        return True
    word = _BEFORE.search(text, start, match.start()).group().lower()
    is_initial = len(word) == 1 and word.isalpha()
    # "am 3. Oktober": German writes ordinals so. "in 1999. Then" is a year: more than two digits.
    is_ordinal = word.isdigit() and len(word) <= 2
    return not (word in _ABBREVIATIONS or is_initial or is_ordinal)
