"""Scores are sacreBLEU's, with the signature that makes them comparable."""

import math

import pytest
import sacrebleu

from hf_vanilla_transformer.evaluation import perplexity, translation_metrics

HYPOTHESES = ["the cat sat on the mat .", "a dog, it barks loudly ."]
REFERENCES = ["the cat sat on a mat .", "A dog, it barks very loudly ."]


@pytest.mark.parametrize("tokenize", ["13a", "none", "char"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_scores_are_sacrebleus(tokenize, lowercase):
    scores = translation_metrics(HYPOTHESES, REFERENCES, tokenize=tokenize, lowercase=lowercase)
    bleu = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize=tokenize, lowercase=lowercase, force=True)
    assert scores["bleu"] == bleu.score
    assert f"tok:{tokenize}" in scores["bleu_signature"]
    assert f"case:{'lc' if lowercase else 'mixed'}" in scores["bleu_signature"]
    assert f"case:{'lc' if lowercase else 'mixed'}" in scores["chrf_signature"]
    if not lowercase:
        assert scores["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score


def test_equal_texts_score_100():
    scores = translation_metrics(REFERENCES, REFERENCES)
    assert scores["bleu"] == pytest.approx(100) and scores["chrf"] == pytest.approx(100)


def test_what_cannot_be_scored_is_named():
    with pytest.raises(ValueError, match="2 hypotheses but 1 references"):
        translation_metrics(HYPOTHESES, REFERENCES[:1])
    with pytest.raises(ValueError, match="empty"):
        translation_metrics([], [])


def test_perplexity_of_a_fair_die_is_six():
    assert perplexity(10 * math.log(6), 10) == pytest.approx(6)
    assert perplexity(1e6, 1) == math.inf
    with pytest.raises(ValueError, match="tokens=0"):
        perplexity(1.0, 0)
