"""Chunks and names in sequences of tags: whole chunks are right or wrong, as in the CoNLL-2000 and 2003 shared tasks.

The rules are those of the tasks' scorer conlleval (Tjong Kim Sang and Buchholz 2000): a chunk is found if its first
word, its last word and its type are right, and odd sequences are read leniently.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TAG = re.compile(r"(?:[BIES]-.+|O)", re.DOTALL)
_OUTSIDE = "O"


@dataclass(frozen=True, order=True)
class Chunk:
    """Consecutive words that belong together.

    Attributes:
        start: the first word, from 0.
        end: the word after the last.
        kind: such as ``NP``.
    """

    start: int
    end: int
    kind: str


def are_chunk_tags(tags: Iterable[str]) -> bool:
    """Whether a set of tags is one of chunks: ``O``, and ``B-``, ``I-``, ``E-`` or ``S-`` with a type, at least one."""
    tags = set(tags)
    return bool(tags - {_OUTSIDE}) and all(_TAG.fullmatch(tag) for tag in tags)


def chunks(tags: Sequence[str]) -> list[Chunk]:
    """The chunks of one sentence, in order.

    A chunk begins at ``B`` and ``S``, and at ``I`` and ``E`` behind another type, behind ``O``, ``E`` or ``S``; so
    the older way to tag (``I`` for the first word too) is understood as well. A tag that is none is ``O``.
    """
    found = []
    start, kind, last = 0, None, _OUTSIDE  # the chunk that is open, and how the word before is marked
    for position, tag in enumerate([*tags, _OUTSIDE]):
        mark, _, this = tag.partition("-") if _TAG.fullmatch(tag) else (_OUTSIDE, "", "")
        begins = mark in ("B", "S") or (mark in ("I", "E") and (last in (_OUTSIDE, "E", "S") or this != kind))
        if kind is not None and (begins or mark == _OUTSIDE):
            found.append(Chunk(start, position, kind))
            kind = None
        if begins:
            start, kind = position, this
        last = mark
    return found


def chunk_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of whole chunks over all sentences, and the accuracy of tags.

    Args:
        gold: the right tags of each sentence.
        predicted: the model's, in the same order.

    Returns:
        ``f1``, ``precision``, ``recall`` and ``accuracy``, in [0, 1]; 0 for a part of nothing.

    Raises:
        ValueError: nothing to score, or sentences or tags in different numbers.
    """
    right, wanted, found = _counted(gold, predicted)
    return {**_f1(sum(right.values()), sum(wanted.values()), sum(found.values())), **tag_scores(gold, predicted)}


def chunk_scores_by_kind(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, dict[str, float]]:
    """``f1``, ``precision``, ``recall`` and ``count`` (right chunks there are) of each type, by its name."""
    right, wanted, found = _counted(gold, predicted)
    return {
        kind: {**_f1(right[kind], wanted[kind], found[kind]), "count": wanted[kind]}
        for kind in sorted(wanted.keys() | found.keys())
    }


def tag_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """``accuracy``: the part of all words whose tag is right.

    Raises:
        ValueError: nothing to score, or sentences or tags in different numbers.
    """
    _same_lengths(gold, predicted)
    pairs = [pair for tags, said in zip(gold, predicted) for pair in zip(tags, said)]
    return {"accuracy": sum(tag == said for tag, said in pairs) / len(pairs)}


def _counted(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Chunks found rightly, wanted and found, by type."""
    _same_lengths(gold, predicted)
    right, wanted, found = Counter[str](), Counter[str](), Counter[str]()
    for tags, said in zip(gold, predicted):
        truth, guess = chunks(tags), chunks(said)
        wanted.update(chunk.kind for chunk in truth)
        found.update(chunk.kind for chunk in guess)
        right.update(chunk.kind for chunk in set(truth) & set(guess))
    return right, wanted, found


def _f1(right: int, wanted: int, found: int) -> dict[str, float]:
    return {
        "f1": 2 * right / (wanted + found) if wanted + found else 0.0,
        "precision": right / found if found else 0.0,
        "recall": right / wanted if wanted else 0.0,
    }


def _same_lengths(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> None:
    if len(gold) != len(predicted) or not any(map(len, gold)):
        raise ValueError(
            f"There are {len(predicted)} tagged sentences for {len(gold)} right ones; give one for each, with words."
        )
    for number, (tags, said) in enumerate(zip(gold, predicted)):
        if len(tags) != len(said):
            raise ValueError(f"Sentence {number} has {len(said)} predicted tags, but {len(tags)} right ones.")


__all__ = ["Chunk", "are_chunk_tags", "chunk_scores", "chunk_scores_by_kind", "chunks", "tag_scores"]
