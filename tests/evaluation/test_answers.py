"""Answers by the rules of SQuAD, and ROUGE."""

import numpy as np
import pytest

from hf_vanilla_transformer.evaluation.question_answering import answer_scores
from hf_vanilla_transformer.evaluation.rouge import rouge_scores


def test_answers_by_the_rules_of_squad():
    scores = answer_scores(
        ["The Old Man.", "a blue sea", "", "Paris"], [["old man"], ["the red sea", "sea"], [], ["the city of Paris"]]
    )
    # Exact: the first and the empty one. F1: 1, 2/3 ("blue sea" with "sea"), 1, 1/2 ("paris" with "city of paris").
    assert scores == {"exact_match": 0.5, "f1": pytest.approx((1 + 2 / 3 + 1 + 1 / 2) / 4)}
    with pytest.raises(ValueError, match="1 answers to 0 questions"):
        answer_scores(["x"], [])


def test_rouge_agrees_with_its_authors_rules():
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    texts = ["the old man reads a book", "two dogs run over hills", "a", "sea and sea"]
    references = ["an old man reads the book", "dogs run", "b", "the sea"]
    ours = rouge_scores(texts, references)
    for name, value in ours.items():
        theirs = [scorer.score(reference, text)[name].fmeasure for text, reference in zip(texts, references)]
        assert value == pytest.approx(np.mean(theirs))


def test_rouge_by_hand():
    scores = rouge_scores(["The cat sat on a mat"], ["the cat on the mat"])
    assert scores["rouge1"] == pytest.approx(2 * 4 / 11)
    assert scores["rouge2"] == pytest.approx(2 * 1 / 9)
    assert scores["rougeL"] == pytest.approx(2 * 4 / 11)
    assert rouge_scores(["한국어 요약"], ["한국어 글"])["rouge1"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="0 texts but 1 references"):
        rouge_scores([], ["x"])
