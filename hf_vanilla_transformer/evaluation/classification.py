"""Scores of labels and of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def class_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """One class a row.

    Args:
        gold: the right classes.
        predicted: the model's, in the same order.
        labels: all classes; each counts the same in the mean, those that appear on neither side left out.

    Returns:
        ``accuracy``, and ``f1``, the mean over the classes (macro F1), both in [0, 1].
    """
    _same_length(gold, predicted)
    truth, guess = np.array(gold, dtype=object), np.array(predicted, dtype=object)
    scores = []
    for label in labels:
        both, either = int(((truth == label) & (guess == label)).sum()), int((truth == label).sum())
        either += int((guess == label).sum())
        if either:
            scores.append(2 * both / either)
    return {"accuracy": float((truth == guess).mean()), "f1": float(np.mean(scores))}


def multi_label_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> dict[str, float]:
    """Any number of classes a row.

    Returns:
        ``f1`` over all decisions together (micro), ``f1_macro`` the mean over classes that appear, and ``accuracy``,
        the part of the rows whose classes are all right.
    """
    _same_length(gold, predicted)
    pairs = [(set(right), set(guess)) for right, guess in zip(gold, predicted)]
    both = sum(len(right & guess) for right, guess in pairs)
    total = sum(len(right) + len(guess) for right, guess in pairs)
    scores = []
    for label in labels:
        hits = sum(label in right and label in guess for right, guess in pairs)
        count = sum((label in right) + (label in guess) for right, guess in pairs)
        if count:
            scores.append(2 * hits / count)
    return {
        "f1": 2 * both / total if total else 1.0,
        "f1_macro": float(np.mean(scores)) if scores else 1.0,
        "accuracy": sum(right == guess for right, guess in pairs) / len(pairs),
    }


def number_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """A number a row.

    Returns:
        ``pearson`` and ``spearman`` correlation (0 where one side has a single value), mean squared error ``mse`` and
        mean absolute error ``mae``.
    """
    _same_length(gold, predicted)
    truth, guess = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    return {
        "pearson": _correlation(truth, guess),
        "spearman": _correlation(_ranks(truth), _ranks(guess)),
        "mse": float(((truth - guess) ** 2).mean()),
        "mae": float(np.abs(truth - guess).mean()),
    }


def _same_length(gold: Sequence, predicted: Sequence) -> None:
    if len(gold) != len(predicted) or not len(gold):
        raise ValueError(
            f"There are {len(predicted)} predictions for {len(gold)} rows; give one for each, at least one."
        )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]
