"""Confidence interval of the difference of two systems on the same rows, by the paired bootstrap.

Rows are drawn with replacement, and both systems are scored on the drawn rows (Efron and Tibshirani 1993, section 13.3;
Koehn 2004). A metric is a function of sums over rows: accuracy of the correct rows, micro F1 of three counts, Pearson's
r of six sums. So a sample only needs the number of times that each row was drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Numbers of a block of samples: limits the memory to some 64 MB.
_BLOCK = 8_000_000


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    *,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of `score(first) - score(second)`.

    Args:
        first, second: (rows, statistics) of each system, for the same rows in the same order.
        score: metric of sums of statistics, (..., statistics) to (...).
        samples: number of samples.
        level: of confidence.
        seed: of the samples.

    Raises:
        ValueError: the shapes differ, there are no rows, or `samples` or `level` is out of range.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or not len(first):
        raise ValueError(
            f"first has the shape {first.shape} and second {second.shape}; give one line of statistics for each row of "
            "both, and at least one row."
        )
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"samples={samples} must be at least 1, and level={level} between 0 and 1.")
    rows = len(first)
    generator = np.random.default_rng(seed)
    differences: list[np.ndarray] = []
    left = samples
    while left:
        block = min(left, max(1, _BLOCK // rows))
        times = generator.multinomial(rows, np.full(rows, 1 / rows), size=block)
        differences.append(score(times @ first) - score(times @ second))
        left -= block
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(differences), [tail, 1 - tail])
    return float(low), float(high)


def mean_score(sums: np.ndarray) -> np.ndarray:
    """Accuracy of the sums (correct, all)."""
    return sums[..., 0] / sums[..., 1]


def f1_score(sums: np.ndarray) -> np.ndarray:
    """Micro F1 of the sums (true positives, predicted, gold); 0 without any."""
    return 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)


def pearson_score(sums: np.ndarray) -> np.ndarray:
    """Pearson's r of the sums (1, x, y, x², y², x·y); 0 if x or y is constant."""
    count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.maximum(count * xx - x * x, 0) * np.maximum(count * yy - y * y, 0)
    return np.where(spread > 0, (count * xy - x * y) / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)
