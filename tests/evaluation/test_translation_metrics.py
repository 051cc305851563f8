"""BLEU and chrF are sacreBLEU's, with its signatures."""

import evaluate
import pytest
import sacrebleu

from hf_vanilla_transformer.evaluation.bleu import Bleu
from hf_vanilla_transformer.evaluation.chrf import Chrf

HYPOTHESES = ["the cat sat on the mat .", "a dog, it barks loudly ."]
REFERENCES = ["the cat sat on a mat .", "A dog, it barks very loudly ."]


@pytest.mark.parametrize("tokenize", ["13a", "none", "char"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_scores_equal_those_of_sacrebleu(tokenize, lowercase):
    metrics = evaluate.combine([Bleu(tokenize=tokenize, lowercase=lowercase), Chrf(lowercase=lowercase)])
    scores = metrics.compute(predictions=HYPOTHESES, references=REFERENCES)
    bleu = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize=tokenize, lowercase=lowercase, force=True)
    assert scores["bleu"] == bleu.score
    assert f"tok:{tokenize}" in scores["bleu_signature"]
    assert f"case:{'lc' if lowercase else 'mixed'}" in scores["bleu_signature"]
    assert f"case:{'lc' if lowercase else 'mixed'}" in scores["chrf_signature"]
    assert "version:" in scores["bleu_signature"] and "version:" in scores["chrf_signature"]
    if not lowercase:
        assert scores["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score


def test_equal_texts_score_100():
    texts = {"predictions": REFERENCES, "references": REFERENCES}
    assert Bleu().compute(**texts)["bleu"] == pytest.approx(100)
    assert Chrf().compute(**texts)["chrf"] == pytest.approx(100)


@pytest.mark.parametrize("metric", [Bleu, Chrf])
def test_texts_without_a_partner_are_an_error(metric):
    with pytest.raises(ValueError, match=r"predictions has 2, references has 1"):
        metric().compute(predictions=HYPOTHESES, references=REFERENCES[:1])
    with pytest.raises(ValueError, match="no rows"):
        metric().compute(predictions=[], references=[])
