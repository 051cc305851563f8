"""Reliability by the paper's definition, against a plain loop; intervals against scipy."""

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
def test_against_the_definition(bins):
    draw = np.random.default_rng(bins)
    confidences = draw.uniform(0, 1, 500)
    correct = draw.uniform(0, 1, 500) < confidences**2
    found = reliability(confidences, correct, bins)
    assert found.expected_calibration_error == pytest.approx(naive_ece(confidences, correct, bins), abs=1e-12)
    assert found.counts.sum() == 500 and len(found.edges) == bins + 1
    gaps = np.abs(found.accuracy - found.confidence)
    assert found.largest_calibration_error == pytest.approx(np.nanmax(gaps))


def test_known_cases():
    sure = reliability([0.9] * 10, [True] * 9 + [False])
    assert sure.expected_calibration_error == pytest.approx(0.0, abs=1e-12)
    assert reliability([1.0] * 4, [False] * 4).expected_calibration_error == 1.0
    edges = reliability([0.2, 0.2 + 1e-9, 0.0, 1.0], [True] * 4, bins=5)
    assert edges.counts.tolist() == [2, 1, 0, 0, 1]
    assert math.isnan(edges.accuracy[2])


def test_illegal_records():
    with pytest.raises(ValueError, match="one of each"):
        reliability([0.5], [True, False])
    with pytest.raises(ValueError, match="one of each"):
        reliability([], [])
    with pytest.raises(ValueError, match=r"1\.5 is no probability"):
        reliability([0.5, 1.5], [True, True])
    with pytest.raises(ValueError, match="bins=0"):
        reliability([0.5], [True], 0)


def test_wilson_interval():
    stats = pytest.importorskip("scipy.stats")
    for right, total in ((0, 10), (7, 10), (430, 500), (10, 10)):
        expected = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
        assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high), abs=1e-4)
    with pytest.raises(ValueError, match="right=3 of total=2"):
        wilson_interval(3, 2)
