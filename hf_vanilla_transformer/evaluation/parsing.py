"""How good dependency trees are: attachment scores by the rules of the CoNLL shared tasks."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

# What one sentence has: its heads and its relations, a value a word.
Tree = tuple[Sequence[int], Sequence[str]]


@dataclass
class _Counts:
    words: int = 0
    heads: int = 0
    labels: int = 0
    subtypes: int = 0

    def add(self, gold: tuple[int, str], found: tuple[int, str]) -> None:
        self.words += 1
        if gold[0] == found[0]:
            self.heads += 1
            self.labels += universal(gold[1]) == universal(found[1])
            self.subtypes += gold[1] == found[1]

    def share(self, count: int) -> float:
        return count / self.words if self.words else 0.0


def attachment_scores(
    gold: Sequence[Tree], predicted: Sequence[Tree], tokens: Sequence[Sequence[str]] | None = None
) -> dict[str, float]:
    """UAS and LAS over the words of all sentences, for sentences whose words are given (gold tokenisation).

    Args:
        gold: the right heads and relations of each sentence.
        predicted: the model's, in the same order.
        tokens: the words, for the scores that leave punctuation out.

    Returns:
        Parts in [0, 1]:

        * ``uas``: words with the right head. Punctuation counts, as in the shared tasks of 2007, 2017 and 2018.
        * ``las``: those that have the right relation too. Subtypes (``nsubj:pass``) are not looked at, as in 2017 and
          2018, where relations are compared up to the colon.
        * ``las_subtypes``: the same with subtypes.
        * ``uas_no_punctuation`` and ``las_no_punctuation`` (with `tokens` only): without the words that consist of
          punctuation alone, by Unicode, and with subtypes, as in 2006.
        * ``exact``: sentences whose heads are all right.
        * ``root``: sentences whose words at the root are the right ones.

    Raises:
        ValueError: nothing to score, or sentences or words in different numbers.
    """
    if len(gold) != len(predicted) or not len(gold):
        raise ValueError(
            f"There are {len(predicted)} predicted trees for {len(gold)} right ones; give one for each, at least one."
        )
    if tokens is not None and len(tokens) != len(gold):
        raise ValueError(f"There are the words of {len(tokens)} sentences, but {len(gold)} trees.")
    counts, plain = _Counts(), _Counts()
    exact = root = 0
    for number, ((heads, relations), (found_heads, found_relations)) in enumerate(zip(gold, predicted)):
        lengths = {len(heads), len(relations), len(found_heads), len(found_relations)}
        if tokens is not None:
            lengths.add(len(tokens[number]))
        if len(lengths) > 1:
            raise ValueError(f"Sentence {number} has words, heads and relations in different numbers: {lengths}.")
        for word, pair in enumerate(zip(zip(heads, relations), zip(found_heads, found_relations))):
            counts.add(*pair)
            if tokens is not None and not is_punctuation(tokens[number][word]):
                plain.add(*pair)
        exact += list(heads) == list(found_heads)
        root += _at_root(heads) == _at_root(found_heads)
    scores = {
        "uas": counts.share(counts.heads),
        "las": counts.share(counts.labels),
        "las_subtypes": counts.share(counts.subtypes),
    }
    if tokens is not None:
        scores["uas_no_punctuation"] = plain.share(plain.heads)
        scores["las_no_punctuation"] = plain.share(plain.subtypes)
    return {**scores, "exact": exact / len(gold), "root": root / len(gold)}


def universal(relation: str) -> str:
    """A relation without its subtype: ``nsubj`` for ``nsubj:pass``."""
    return relation.split(":", 1)[0]


def is_punctuation(word: str) -> bool:
    """Whether every character of a word has one of Unicode's categories of punctuation."""
    return all(unicodedata.category(character).startswith("P") for character in word)


def _at_root(heads: Sequence[int]) -> list[int]:
    return [word for word, head in enumerate(heads) if head == 0]


__all__ = ["attachment_scores", "is_punctuation", "universal"]
