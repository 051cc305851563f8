"""UAS and LAS of dependency trees, by the rules of the CoNLL shared tasks."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric


class AttachmentScores(InMemoryMetric):
    """Attachment scores over the words of all sentences, with gold tokenization.

    `compute` returns shares in [0, 1]:

    * ``uas``: words with the right head. Punctuation counts, as in the shared tasks of 2007, 2017 and 2018.
    * ``las``: words with the right head and relation. Relations are compared up to the colon, without subtypes
      (``nsubj:pass``), as in 2017 and 2018.
    * ``las_subtypes``: the same with subtypes.
    * ``uas_no_punctuation`` and ``las_no_punctuation`` (with `tokens` only): without words that consist only of
      punctuation by Unicode, and with subtypes, as in 2006.
    * ``exact``: sentences whose heads are all right.
    * ``root``: sentences with the right words at the root.

    It raises `ValueError` if the parts of a sentence differ in length.

    Args:
        tokens: the words come as a third column ``tokens``, for the scores without punctuation.
        **options: of `evaluate.Metric`.
    """

    def __init__(self, *, tokens: bool = False, **options: Any) -> None:
        self.tokens = tokens
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        names = datasets.List(datasets.Value("string"))
        tree = {"heads": datasets.List(datasets.Value("int32")), "relations": names}
        return evaluate.MetricInfo(
            description="Unlabeled and labeled attachment scores of dependency trees.",
            citation="Buchholz and Marsi 2006, CoNLL-X shared task on Multilingual Dependency Parsing; "
            "Zeman et al. 2018, CoNLL 2018 Shared Task: Multilingual Parsing from Raw Text to Universal Dependencies",
            inputs_description="predictions, references: for each sentence its heads (from 1; 0 is the root) and "
            "relations, one of each a word. tokens: the words of each sentence.",
            features=datasets.Features(
                {"predictions": tree, "references": tree, **({"tokens": names} if self.tokens else {})}
            ),
        )

    def _compute(
        self,
        predictions: Sequence[Mapping[str, Any]],
        references: Sequence[Mapping[str, Any]],
        tokens: Sequence[Sequence[str]] | None = None,
    ) -> dict[str, float]:
        counts, no_punctuation = _Counts(), _Counts()
        exact = root = 0
        for number, (gold, predicted) in enumerate(zip(references, predictions)):
            columns = [gold["heads"], gold["relations"], predicted["heads"], predicted["relations"]]
            columns += [tokens[number]] if tokens is not None else []
            lengths = [len(column) for column in columns]
            if len(set(lengths)) > 1:
                raise ValueError(
                    f"Sentence {number} has {lengths[0]} gold heads, {lengths[1]} gold relations, {lengths[2]} "
                    f"predicted heads and {lengths[3]} predicted relations"
                    + (f" for {lengths[4]} tokens" if tokens is not None else "")
                    + "; give one of each for every word."
                )
            for gold_head, gold_relation, head, relation, *token in zip(*columns):
                counts.add(gold_head == head, gold_relation, relation)
                if token and not is_punctuation(token[0]):
                    no_punctuation.add(gold_head == head, gold_relation, relation)
            exact += gold["heads"] == predicted["heads"]
            root += _at_root(gold["heads"]) == _at_root(predicted["heads"])
        scores = {
            "uas": counts.share(counts.heads),
            "las": counts.share(counts.relations),
            "las_subtypes": counts.share(counts.subtypes),
        }
        if tokens is not None:
            scores["uas_no_punctuation"] = no_punctuation.share(no_punctuation.heads)
            scores["las_no_punctuation"] = no_punctuation.share(no_punctuation.subtypes)
        return {**scores, "exact": exact / len(references), "root": root / len(references)}


@dataclass
class _Counts:
    """Words, and how many of them have the right head, also the right relation, also the right subtype."""

    words: int = 0
    heads: int = 0
    relations: int = 0
    subtypes: int = 0

    def add(self, same_head: bool, gold_relation: str, relation: str) -> None:
        self.words += 1
        if same_head:
            self.heads += 1
            self.relations += universal(gold_relation) == universal(relation)
            self.subtypes += gold_relation == relation

    def share(self, count: int) -> float:
        return count / self.words if self.words else 0.0


def universal(relation: str) -> str:
    """A relation without its subtype: ``nsubj`` for ``nsubj:pass``."""
    return relation.split(":", 1)[0]


def is_punctuation(word: str) -> bool:
    """Whether every character of a word is in one of Unicode's categories of punctuation."""
    return all(unicodedata.category(character).startswith("P") for character in word)


def _at_root(heads: Sequence[int]) -> list[int]:
    return [word for word, head in enumerate(heads) if head == 0]
