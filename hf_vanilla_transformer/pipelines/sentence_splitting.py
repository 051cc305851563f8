"""Splitting text into sentences, and joining sentences with the white space that separated them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# A sentence may end with punctuation, closing quotes or brackets, and white space. After the punctuation of Chinese and
# Japanese, no white space is needed. A line break always ends a sentence.
_END = re.compile(r"(?P<punctuation>[.!?…]+[\"'”’»)\]]*)(?=\s)|[。！？]+[」』”’）]*|(?=\n)")

# Abbreviations of European languages: the full stop after them does not end a sentence.
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
    """Splits `text` into sentences. Their texts and gaps, concatenated, are `text` without leading white space.

    A full stop ends a sentence if white space follows, unless the next character is a lower-case letter, or the full
    stop belongs to an abbreviation, an initial or an ordinal. A full stop after white space, as in tokenized text,
    always ends a sentence, and so does a line break. These are rules, not a model; they may split after an abbreviation
    that they do not know.

    Returns:
        The sentences; an empty list if `text` is only white space.
    """
    sentences: list[Sentence] = []
    start = len(text) - len(text.lstrip())
    for match in _END.finditer(text):
        end = match.end()
        if end <= start or not text[start:end].strip():
            continue
        if match["punctuation"] is not None and not _ends_here(text, start, match):
            continue
        following = _SPACE.match(text, end).end()
        sentences.append(Sentence(text[start:end], text[end:following]))
        start = following
    if start < len(text):
        rest = text[start:].rstrip()
        sentences.append(Sentence(rest, text[start + len(rest) :]))
    return sentences


def join_sentences(sentences: Iterable[Sentence]) -> str:
    """Joins sentences with the gaps between them, for example translations with the gaps of their sources.

    If there is no gap, as in Chinese, a space is added unless the sentence itself ends with Chinese punctuation.
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
    """Whether this punctuation, which white space follows, ends a sentence."""
    gap = _SPACE.match(text, match.end())
    if gap.end() == len(text) or "\n" in gap.group():
        return True
    if match.start() > start and text[match.start() - 1].isspace():
        return True  # tokenized text: white space precedes the punctuation
    if text[gap.end()].islower():
        return False
    if not match["punctuation"].startswith(".") or match["punctuation"].startswith(".."):
        return True
    word = _BEFORE.search(text, start, match.start()).group().lower()
    is_initial = len(word) == 1 and word.isalpha()
    # German ordinals: "am 3. Oktober". Numbers of more than two digits are years: "in 1999. Then".
    is_ordinal = word.isdigit() and len(word) <= 2
    return not (word in _ABBREVIATIONS or is_initial or is_ordinal)
