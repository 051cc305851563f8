"""Accuracy and macro F1 of single classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric


class ClassificationScores(InMemoryMetric):
    """One class a row.

    `compute` returns ``accuracy``, and ``f1``, the mean over the classes (macro F1), both in [0, 1].

    Args:
        labels: all classes. Each has the same weight in the mean; classes that appear on neither side are left out.
            None for the classes that appear.
        **options: of `evaluate.Metric`.
    """

    def __init__(self, *, labels: Sequence[str] | None = None, **options: Any) -> None:
        self.labels = None if labels is None else list(labels)
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy and macro F1 of single classes.",
            citation="",
            inputs_description="predictions, references: the name of a class a row.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        n_gold, n_pred = Counter(references), Counter(predictions)
        tp = Counter(gold for gold, predicted in zip(references, predictions) if gold == predicted)
        labels = self.labels if self.labels is not None else n_gold | n_pred
        scores = [2 * tp[label] / (n_gold[label] + n_pred[label]) for label in labels if n_gold[label] + n_pred[label]]
        if not scores:
            raise ValueError(f"labels={self.labels} has none of the classes of the rows, such as {references[0]!r}.")
        return {"accuracy": tp.total() / len(references), "f1": sum(scores) / len(scores)}
