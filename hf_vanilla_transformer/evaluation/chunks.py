"""Chunks, such as noun phrases and names, in sequences of tags.

The rules are those of conlleval (Tjong Kim Sang and Buchholz 2000), the scorer of the CoNLL-2000 and CoNLL-2003 shared
tasks, which accepts any sequence of tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TAG = re.compile(r"(?:[BIES]-.+|O)", re.DOTALL)
_OUTSIDE = "O"


@dataclass(frozen=True, order=True)
class Span:
    """Consecutive words that form a chunk.

    Attributes:
        start: the first word, from 0.
        end: the word after the last.
        kind: such as ``NP``.
    """

    start: int
    end: int
    kind: str


def are_chunk_tags(tags: Iterable[str]) -> bool:
    """Whether a set of tags describes chunks: at least one ``B-``, ``I-``, ``E-`` or ``S-`` with a type, and ``O``."""
    tags = set(tags)
    return bool(tags - {_OUTSIDE}) and all(_TAG.fullmatch(tag) for tag in tags)


def chunks(tags: Sequence[str]) -> list[Span]:
    """The chunks of one sentence, in order.

    A chunk begins at ``B`` and ``S``, and at ``I`` and ``E`` after another type and after ``O``, ``E`` or ``S``, so
    IOB1 (``I`` for the first word as well) is supported. Any other tag counts as ``O``.
    """
    spans = []
    start, kind, previous = 0, None, _OUTSIDE  # of the open chunk, and the prefix of the tag before
    for position, tag in enumerate([*tags, _OUTSIDE]):
        prefix, _, tag_kind = tag.partition("-") if _TAG.fullmatch(tag) else (_OUTSIDE, "", "")
        begins = prefix in ("B", "S") or (
            prefix in ("I", "E") and (previous in (_OUTSIDE, "E", "S") or tag_kind != kind)
        )
        if kind is not None and (begins or prefix == _OUTSIDE):
            spans.append(Span(start, position, kind))
            kind = None
        if begins:
            start, kind = position, tag_kind
        previous = prefix
    return spans
