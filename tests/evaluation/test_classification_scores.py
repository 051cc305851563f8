"""Scores of classes and numbers agree with scikit-learn and scipy."""

import numpy as np
import pytest
from scipy import stats

from hf_vanilla_transformer.evaluation.accuracy import Accuracy
from hf_vanilla_transformer.evaluation.classification_scores import ClassificationScores
from hf_vanilla_transformer.evaluation.multi_label_scores import MultiLabelScores
from hf_vanilla_transformer.evaluation.regression_scores import RegressionScores

LABELS = ["a", "b", "c", "never"]


def class_scores(gold, predicted):
    return ClassificationScores(labels=LABELS).compute(predictions=predicted, references=gold)


def multi_label_scores(gold, predicted):
    return MultiLabelScores(labels=LABELS).compute(predictions=predicted, references=gold)


def regression_scores(gold, predicted):
    return RegressionScores().compute(predictions=predicted, references=gold)


def test_classes_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    gold, predicted = (generator.choice(LABELS[:3], size=50).tolist() for _ in range(2))
    scores = class_scores(gold, predicted)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(gold, predicted))
    assert scores["f1"] == pytest.approx(metrics.f1_score(gold, predicted, average="macro"))


def test_classes_by_hand():
    gold, predicted = ["a", "a", "b", "c"], ["a", "b", "b", "b"]
    scores = class_scores(gold, predicted)
    assert scores == {"accuracy": 0.5, "f1": pytest.approx((2 / 3 + 2 / 4 + 0) / 3)}
    assert ClassificationScores().compute(predictions=predicted, references=gold) == scores
    assert Accuracy().compute(predictions=predicted, references=gold) == {"accuracy": 0.5}


def test_labels_that_no_row_has_are_an_error():
    with pytest.raises(ValueError, match=r"labels=\['x'\].*'a'"):
        ClassificationScores(labels=["x"]).compute(predictions=["a"], references=["a"])


def test_several_labels_by_hand():
    gold, predicted = [["a", "b"], [], ["b"]], [["a"], [], ["b", "c"]]
    scores = multi_label_scores(gold, predicted)
    assert scores["f1"] == pytest.approx(4 / 6)
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert MultiLabelScores().compute(predictions=predicted, references=gold) == scores
    assert multi_label_scores([[]], [[]])["f1"] == 1.0


def test_numbers_agree_with_scipy():
    generator = np.random.default_rng(1)
    gold = generator.integers(0, 5, size=40).astype(float)  # with ties
    predicted = gold + generator.normal(size=40)
    scores = regression_scores(gold, predicted)
    assert scores["pearson"] == pytest.approx(stats.pearsonr(gold, predicted).statistic)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(gold, predicted).statistic)
    assert scores["mse"] == pytest.approx(((gold - predicted) ** 2).mean())
    assert scores["mae"] == pytest.approx(np.abs(gold - predicted).mean())
    assert regression_scores([1.0, 2.0], [3.0, 3.0])["pearson"] == 0.0


@pytest.mark.parametrize("score, gold", [(regression_scores, [1.0]), (class_scores, ["a"]), (multi_label_scores, [[]])])
def test_rows_without_a_prediction_are_an_error(score, gold):
    with pytest.raises(ValueError, match="predictions has 0, references has 1"):
        score(gold, [])
