"""The paired bootstrap agrees with scipy's and with the normal approximation."""

import numpy as np
import pytest
from scipy import stats

from hf_vanilla_transformer.evaluation.paired_bootstrap import f1_score, mean_score, paired_bootstrap, pearson_score


def _correct(share, rows, seed):
    hits = np.random.default_rng(seed).random(rows) < share
    return np.stack([hits, np.ones(rows)], axis=1)


def test_accuracy_has_the_interval_of_the_normal_approximation_and_of_scipy():
    first, second = _correct(0.8, 2000, 1), _correct(0.75, 2000, 2)
    low, high = paired_bootstrap(first, second, mean_score, samples=4000)
    each = first[:, 0] - second[:, 0]
    half = 1.96 * each.std(ddof=1) / np.sqrt(len(each))
    assert (low, high) == pytest.approx((each.mean() - half, each.mean() + half), abs=1.5e-3)
    other = stats.bootstrap((each,), np.mean, n_resamples=4000, method="percentile", rng=3).confidence_interval
    assert (low, high) == pytest.approx((other.low, other.high), abs=1.5e-3)
    assert (low, high) == paired_bootstrap(first, second, mean_score, samples=4000)  # the seed is fixed


def test_equal_systems_do_not_differ():
    rows = _correct(0.6, 50, 0)
    assert paired_bootstrap(rows, rows, mean_score) == (0.0, 0.0)


def test_scores_of_sums():
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    sums = np.stack([np.ones(30), x, y, x * x, y * y, x * y], axis=1).sum(0)
    assert pearson_score(sums) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert pearson_score(np.array([2.0, 2, 3, 2, 5, 3])) == 0  # x is constant
    assert f1_score(np.array([2.0, 3, 5])) == pytest.approx(0.5)
    assert f1_score(np.zeros(3)) == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"first": np.ones((3, 2)), "second": np.ones((4, 2))}, r"\(3, 2\).*\(4, 2\)"),
        ({"first": np.ones((0, 2)), "second": np.ones((0, 2))}, "at least one row"),
        ({"first": np.ones((3, 2)), "second": np.ones((3, 2)), "samples": 0}, "samples=0"),
        ({"first": np.ones((3, 2)), "second": np.ones((3, 2)), "level": 1.0}, r"level=1\.0"),
    ],
)
def test_impossible_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(score=mean_score, **arguments)
