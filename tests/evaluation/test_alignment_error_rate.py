"""The alignment error rate, checked against published values."""

import os
from pathlib import Path

import pytest

from hf_vanilla_transformer.evaluation.alignment_error_rate import AlignmentErrorRate

DATA = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[2].parent / "shared/data")) / "word_alignment"


def rate(predictions, sure, possible):
    references = [{"sure": one, "possible": other} for one, other in zip(sure, possible, strict=True)]
    return AlignmentErrorRate().compute(predictions=predictions, references=references)["alignment_error_rate"]


@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder with word_alignment is not there")
@pytest.mark.parametrize(("pair", "percent"), [("en_fr", 4.080), ("ro_en", 21.220)])
def test_the_rate_of_a_published_aligner(pair, percent):
    import datasets

    rows = datasets.Dataset.from_parquet(str(DATA / f"{pair}.parquet"))
    assert round(100 * rate(rows["awesome_align"], rows["sure"], rows["possible"]), 3) == percent


def test_the_rate_of_small_alignments():
    sure, possible = [[(0, 0), (1, 2)]], [[(0, 0), (1, 2), (2, 1)]]
    assert rate(sure, sure, possible) == 0
    assert rate([[(2, 1)]], sure, possible) == pytest.approx(1 - 1 / 3)
    assert rate([[(5, 5)]], sure, possible) == 1
    # Sure links are possible, whether the second list repeats them or not.
    assert rate(sure, sure, [[(2, 1)]]) == 0


def test_links_can_be_sets_and_repeated_links_count_once():
    assert rate([{(0, 0), (1, 2)}], [{(0, 0), (1, 2)}], [set()]) == 0
    assert rate([[(0, 0), (0, 0), (3, 3)]], [[(0, 0)]], [[]]) == pytest.approx(1 - 2 / 3)


def test_sentences_without_links_are_an_error():
    with pytest.raises(ValueError, match="link in 1 sentences"):
        rate([[]], [[]], [[]])
    with pytest.raises(ValueError, match="predictions has 1, references has 2"):
        rate([[]], [[], []], [[], []])


def test_a_link_is_a_pair():
    with pytest.raises(ValueError, match=r"\[\[\[0, 1, 2\]\]\]"):
        rate([[[0, 1, 2]]], [[]], [[]])
