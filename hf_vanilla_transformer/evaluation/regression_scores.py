"""Correlations and errors of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from .in_memory_metric import InMemoryMetric


class RegressionScores(InMemoryMetric):
    """One number a row.

    `compute` returns the ``pearson`` and ``spearman`` correlations (0 where one side has a single value), the mean
    squared error ``mse`` and the mean absolute error ``mae``.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Pearson and Spearman correlation, mean squared and mean absolute error.",
            citation="",
            inputs_description="predictions, references: a number a row.",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        gold, predicted = np.asarray(references, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
        return {
            "pearson": _correlation(gold, predicted),
            "spearman": _correlation(_ranks(gold), _ranks(predicted)),
            "mse": float(((gold - predicted) ** 2).mean()),
            "mae": float(np.abs(gold - predicted).mean()),
        }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]
