"""Answers by the rules of SQuAD."""

import pytest

from hf_vanilla_transformer.evaluation.exact_match import ExactMatch


def test_answers_are_compared_by_the_rules_of_squad():
    scores = ExactMatch().compute(
        predictions=["The Old Man.", "a blue sea", "", "Paris"],
        references=[["old man"], ["the red sea", "sea"], [], ["the city of Paris"]],
    )
    # Exact: the first and the empty one. F1: 1, 2/3 ("blue sea" with "sea"), 1, 1/2 ("paris" with "city of paris").
    assert scores == {"exact_match": 0.5, "f1": pytest.approx((1 + 2 / 3 + 1 + 1 / 2) / 4)}


def test_answers_without_a_question_are_an_error():
    with pytest.raises(ValueError, match="predictions has 1, references has 0"):
        ExactMatch().compute(predictions=["x"], references=[])
