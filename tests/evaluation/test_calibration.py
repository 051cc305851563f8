"""Reliability agrees with a loop by the paper's definition, and intervals agree with scipy."""

import math

import numpy as np
import pytest

from hf_vanilla_transformer.evaluation.calibration import reliability, wilson_interval


def naive_ece(confidences, correct, bins):
    total = 0.0
    for m in range(1, bins + 1):
        inside = [i for i, p in enumerate(confidences) if (m - 1) / bins < p <= m / bins or (m == 1 and p == 0)]
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            confidence = sum(confidences[i] for i in inside) / len(inside)
            total += len(inside) / len(confidences) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_reliability_agrees_with_its_definition(bins):
    draw = np.random.default_rng(bins)
    confidences = draw.uniform(0, 1, 500)
    correct = draw.uniform(0, 1, 500) < confidences**2
    result = reliability(confidences, correct, bins)
    assert result.expected_calibration_error == pytest.approx(naive_ece(confidences, correct, bins), abs=1e-12)
    assert result.counts.sum() == 500 and len(result.edges) == bins + 1
    gaps = np.abs(result.accuracy - result.confidence)
    assert result.largest_calibration_error == pytest.approx(np.nanmax(gaps))


def test_reliability_by_hand():
    calibrated = reliability([0.9] * 10, [True] * 9 + [False])
    assert calibrated.expected_calibration_error == pytest.approx(0.0, abs=1e-12)
    assert reliability([1.0] * 4, [False] * 4).expected_calibration_error == 1.0
    edges = reliability([0.2, 0.2 + 1e-9, 0.0, 1.0], [True] * 4, bins=5)
    assert edges.counts.tolist() == [2, 1, 0, 0, 1]
    assert math.isnan(edges.accuracy[2])


def test_predictions_that_are_not_probabilities_are_an_error():
    with pytest.raises(ValueError, match=r"confidences .*\(1,\).*correct \(2,\)"):
        reliability([0.5], [True, False])
    with pytest.raises(ValueError, match=r"confidences .*\(0,\).*correct \(0,\)"):
        reliability([], [])
    with pytest.raises(ValueError, match=r"confidences has 1\.5"):
        reliability([0.5, 1.5], [True, True])
    with pytest.raises(ValueError, match="bins=0"):
        reliability([0.5], [True], 0)


def test_wilson_intervals_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for successes, total in ((0, 10), (7, 10), (430, 500), (10, 10)):
        expected = stats.binomtest(successes, total).proportion_ci(0.95, method="wilson")
        assert wilson_interval(successes, total) == pytest.approx((expected.low, expected.high), abs=1e-4)
    with pytest.raises(ValueError, match=r"successes=3 .*total=2"):
        wilson_interval(3, 2)
