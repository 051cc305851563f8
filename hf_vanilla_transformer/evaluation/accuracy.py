"""Accuracy of single classes."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric


class Accuracy(InMemoryMetric):
    """`compute` returns ``accuracy``, the share of rows whose class is right, in [0, 1]."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="The share of rows whose predicted class is the gold class.",
            citation="",
            inputs_description="predictions, references: the name of a class a row.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        tp = sum(gold == predicted for gold, predicted in zip(references, predictions))
        return {"accuracy": tp / len(references)}
