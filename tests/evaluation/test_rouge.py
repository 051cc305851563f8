"""ROUGE by hand and against its authors' rules."""

import numpy as np
import pytest

from hf_vanilla_transformer.evaluation.rouge import Rouge


def rouge_scores(predictions, references):
    return Rouge().compute(predictions=predictions, references=references)


def test_scores_equal_those_of_rouge_score():
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    texts = ["the old man reads a book", "two dogs run over hills", "a", "sea and sea"]
    references = ["an old man reads the book", "dogs run", "b", "the sea"]
    ours = rouge_scores(texts, references)
    for name, value in ours.items():
        theirs = [scorer.score(reference, text)[name].fmeasure for text, reference in zip(texts, references)]
        assert value == pytest.approx(np.mean(theirs))


def test_scores_by_hand():
    scores = rouge_scores(["The cat sat on a mat"], ["the cat on the mat"])
    assert scores["rouge1"] == pytest.approx(2 * 4 / 11)
    assert scores["rouge2"] == pytest.approx(2 * 1 / 9)
    assert scores["rougeL"] == pytest.approx(2 * 4 / 11)
    assert rouge_scores(["한국어 요약"], ["한국어 글"])["rouge1"] == pytest.approx(0.5)


def test_texts_without_a_partner_are_an_error():
    with pytest.raises(ValueError, match="predictions has 0, references has 1"):
        rouge_scores([], ["x"])
