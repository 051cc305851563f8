"""Calibration: how well predicted probabilities agree with accuracy (Guo et al. 2017, section 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy in bins of confidence of equal width.

    Attributes:
        counts: (bins,) number of predictions in each bin.
        confidence: (bins,) mean predicted probability of each bin; nan if it is empty.
        accuracy: (bins,) share of correct predictions in each bin; nan if it is empty.
        expected_calibration_error: mean distance between the two, weighted by the counts (Eq. 3 and 5).
        largest_calibration_error: maximum distance between the two (Eq. 4).
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_calibration_error: float
    largest_calibration_error: float

    @property
    def edges(self) -> np.ndarray:
        """(bins + 1,) the boundaries of the bins."""
        return np.linspace(0.0, 1.0, len(self.counts) + 1)


def reliability(confidences: Sequence[float], correct: Sequence[bool], bins: int = 15) -> Reliability:
    """Confidence and accuracy of predictions in the bins ((m - 1)/M, m/M].

    Args:
        confidences: the probability of each prediction.
        correct: whether the prediction is correct.
        bins: M; 15 in the paper.

    Raises:
        ValueError: there are no predictions, the two differ in length, or a confidence is outside [0, 1].
    """
    confidence = np.asarray(confidences, dtype=np.float64)
    hits = np.asarray(correct, dtype=np.float64)
    if confidence.shape != hits.shape or confidence.ndim != 1 or not len(confidence):
        raise ValueError(
            f"confidences has the shape {confidence.shape} and correct {hits.shape}; give one of each for "
            "every prediction, and at least one prediction."
        )
    if bins < 1:
        raise ValueError(f"bins={bins} must be at least 1.")
    # Rounding can put a sum of probabilities slightly above 1.
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():
        worst = confidence[np.argmax(np.abs(confidence - 0.5))]
        raise ValueError(f"confidences has {worst:g}; probabilities must lie between 0 and 1.")
    indices = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(indices, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(indices, confidence, minlength=bins) / counts
        accuracy = np.bincount(indices, hits, minlength=bins) / counts
    gaps = np.abs(accuracy - mean_confidence)
    filled = counts > 0
    return Reliability(
        counts,
        mean_confidence,
        accuracy,
        float((gaps[filled] * counts[filled]).sum() / counts.sum()),
        float(gaps[filled].max()),
    )


def wilson_interval(successes: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The confidence interval of a proportion (Wilson 1927); 95 % with the default `z`.

    Raises:
        ValueError: `total` is 0, or `successes` is not between 0 and `total`.
    """
    if not 0 <= successes <= total or total == 0:
        raise ValueError(f"successes={successes} must be between 0 and total={total}, and total at least 1.")
    share, squared = successes / total, z * z
    centre = (share + squared / (2 * total)) / (1 + squared / total)
    half = z / (1 + squared / total) * math.sqrt(share * (1 - share) / total + squared / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)
