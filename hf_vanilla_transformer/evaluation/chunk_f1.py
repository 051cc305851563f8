"""F1 of chunks, as in the CoNLL-2000 and CoNLL-2003 shared tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .chunks import chunks
from .in_memory_metric import InMemoryMetric
from .tag_accuracy import tag_accuracy


class ChunkF1(InMemoryMetric):
    """A predicted chunk is right if its first word, its last word and its type are right.

    `compute` returns ``f1``, ``precision``, ``recall`` and the tags' ``accuracy``, all in [0, 1], and with `by_type`
    also ``types``: for each type ``f1``, ``precision``, ``recall`` and ``count``, the number of gold chunks. A ratio
    with the denominator 0 is 0. It raises `ValueError` as `TagAccuracy` does.

    Args:
        by_type: also score each type of chunk.
        **options: of `evaluate.Metric`.
    """

    def __init__(self, *, by_type: bool = False, **options: Any) -> None:
        self.by_type = by_type
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of chunks, and the accuracy of tags.",
            citation="Tjong Kim Sang and Buchholz 2000, Introduction to the CoNLL-2000 Shared Task: Chunking",
            inputs_description="predictions, references: the tags of a sentence a row, such as B-NP, I-NP and O.",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        accuracy = tag_accuracy(references, predictions)
        tp, n_gold, n_pred = Counter[str](), Counter[str](), Counter[str]()
        for gold, predicted in zip(map(chunks, references), map(chunks, predictions)):
            n_gold.update(span.kind for span in gold)
            n_pred.update(span.kind for span in predicted)
            tp.update(span.kind for span in set(gold) & set(predicted))
        scores = {**_f1(tp.total(), n_gold.total(), n_pred.total()), "accuracy": accuracy}
        if self.by_type:
            scores["types"] = {
                kind: {**_f1(tp[kind], n_gold[kind], n_pred[kind]), "count": n_gold[kind]}
                for kind in sorted(n_gold | n_pred)
            }
        return scores


def _f1(tp: int, n_gold: int, n_pred: int) -> dict[str, float]:
    return {
        "f1": 2 * tp / (n_gold + n_pred) if n_gold + n_pred else 0.0,
        "precision": tp / n_pred if n_pred else 0.0,
        "recall": tp / n_gold if n_gold else 0.0,
    }
