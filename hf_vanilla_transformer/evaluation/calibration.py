"""Whether a model that says 80 % is right in 80 of 100 cases: reliability diagrams (Guo et al. 2017, section 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, in bins of confidence of equal width.

    Attributes:
        counts: (bins,) predictions in each bin.
        confidence: (bins,) mean probability the model gave its answers there; nan in an empty bin.
        accuracy: (bins,) part of them that was right; nan in an empty bin.
        expected_calibration_error: mean distance of the two, each bin weighted by its predictions (Eq. 3 and 5).
        largest_calibration_error: the largest distance (Eq. 4).
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_calibration_error: float
    largest_calibration_error: float

    @property
    def edges(self) -> np.ndarray:
        """(bins + 1,) where the bins begin and end."""
        return np.linspace(0.0, 1.0, len(self.counts) + 1)


def reliability(confidences: Sequence[float], correct: Sequence[bool], bins: int = 15) -> Reliability:
    """Sorts predictions into bins ((m - 1)/M, m/M] and compares.

    Args:
        confidences: the probability of each predicted answer.
        correct: whether it was the right one.
        bins: M; 15 in the paper.

    Raises:
        ValueError: there are no predictions, the two differ in number, or something is no probability.
    """
    confidence = np.asarray(confidences, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    if confidence.shape != right.shape or confidence.ndim != 1 or not len(confidence):
        raise ValueError(
            f"confidences has the shape {confidence.shape} and correct {right.shape}; give one of each for at "
            "least one prediction."
        )
    if bins < 1:
        raise ValueError(f"bins={bins} must be at least 1.")
    # Sums of probabilities end a little above 1.
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():
        worst = confidence[np.argmax(np.abs(confidence - 0.5))]
        raise ValueError(f"A confidence of {worst:g} is no probability; they must lie between 0 and 1.")
    numbers = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(numbers, confidence, minlength=bins) / counts
        accuracy = np.bincount(numbers, right, minlength=bins) / counts
    gaps = np.abs(accuracy - mean_confidence)
    filled = counts > 0
    return Reliability(
        counts,
        mean_confidence,
        accuracy,
        float((gaps[filled] * counts[filled]).sum() / counts.sum()),
        float(gaps[filled].max()),
    )


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Where the true share lies with 95 % probability, if `right` of `total` were right (Wilson 1927).

    Raises:
        ValueError: there is nothing to count, or more right than there were.
    """
    if not 0 <= right <= total or total == 0:
        raise ValueError(f"right={right} of total={total} is no share; give at least one case.")
    share, squared = right / total, z * z
    centre = (share + squared / (2 * total)) / (1 + squared / total)
    half = z / (1 + squared / total) * math.sqrt(share * (1 - share) / total + squared / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)
