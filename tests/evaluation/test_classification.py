"""Scores of labels and numbers agree with others' code."""

import numpy as np
import pytest
from scipy import stats

from hf_vanilla_transformer.evaluation.classification import class_scores, multi_label_scores, number_scores

LABELS = ["a", "b", "c", "never"]


def test_classes():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    gold, predicted = (generator.choice(LABELS[:3], size=50).tolist() for _ in range(2))
    scores = class_scores(gold, predicted, LABELS)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(gold, predicted))
    assert scores["f1"] == pytest.approx(metrics.f1_score(gold, predicted, average="macro"))


def test_classes_by_hand():
    scores = class_scores(["a", "a", "b", "c"], ["a", "b", "b", "b"], LABELS)
    assert scores == {"accuracy": 0.5, "f1": pytest.approx((2 / 3 + 2 / 4 + 0) / 3)}


def test_several_labels_by_hand():
    scores = multi_label_scores([["a", "b"], [], ["b"]], [["a"], [], ["b", "c"]], LABELS)
    assert scores["f1"] == pytest.approx(4 / 6)
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert multi_label_scores([[]], [[]], LABELS)["f1"] == 1.0


def test_numbers():
    generator = np.random.default_rng(1)
    gold = generator.integers(0, 5, size=40).astype(float)  # with ties
    predicted = gold + generator.normal(size=40)
    scores = number_scores(gold, predicted)
    assert scores["pearson"] == pytest.approx(stats.pearsonr(gold, predicted).statistic)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(gold, predicted).statistic)
    assert scores["mse"] == pytest.approx(((gold - predicted) ** 2).mean())
    assert number_scores([1.0, 2.0], [3.0, 3.0])["pearson"] == 0.0


def test_sides_of_different_length():
    for score, sides in ((number_scores, ([1.0], [])), (lambda a, b: class_scores(a, b, LABELS), (["a"], []))):
        with pytest.raises(ValueError, match="0 predictions for 1 rows"):
            score(*sides)
