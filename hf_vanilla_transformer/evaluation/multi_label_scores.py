"""F1 and accuracy where a row has any number of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric


class MultiLabelScores(InMemoryMetric):
    """Any number of classes a row.

    `compute` returns values in [0, 1]: ``f1`` over all decisions together (micro F1), ``f1_macro``, the mean over the
    classes that appear, and ``accuracy``, the share of rows whose classes are all right. Where there is neither a gold
    nor a predicted class, F1 is 1.

    Args:
        labels: the classes of the mean; None for those that appear.
        **options: of `evaluate.Metric`.
    """

    def __init__(self, *, labels: Sequence[str] | None = None, **options: Any) -> None:
        self.labels = None if labels is None else list(labels)
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        names = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Micro F1, macro F1 and accuracy where a row has any number of classes.",
            citation="",
            inputs_description="predictions, references: a list of the names of classes a row.",
            features=datasets.Features({"predictions": names, "references": names}),
        )

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, float]:
        tp, n_gold, n_pred = Counter[str](), Counter[str](), Counter[str]()
        exact = 0
        for gold, predicted in zip(map(set, references), map(set, predictions)):
            tp.update(gold & predicted)
            n_gold.update(gold)
            n_pred.update(predicted)
            exact += gold == predicted
        total = n_gold.total() + n_pred.total()
        labels = self.labels if self.labels is not None else n_gold | n_pred
        scores = [2 * tp[label] / (n_gold[label] + n_pred[label]) for label in labels if n_gold[label] + n_pred[label]]
        return {
            "f1": 2 * tp.total() / total if total else 1.0,
            "f1_macro": sum(scores) / len(scores) if scores else 1.0,
            "accuracy": exact / len(references),
        }
