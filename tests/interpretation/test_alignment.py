"""Alignments from attention and their error rate, checked against published values."""

import os
from pathlib import Path

import pytest
import torch

from hf_vanilla_transformer.interpretation import AttentionMap, alignment_error_rate, attention_alignment

DATA = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[2].parent / "shared/data")) / "word_alignment"


@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder with word_alignment is not there")
@pytest.mark.parametrize(("pair", "percent"), [("en_fr", 4.080), ("ro_en", 21.220)])
def test_error_rate_of_a_published_aligner(pair, percent):
    import datasets

    rows = datasets.Dataset.from_parquet(str(DATA / f"{pair}.parquet"))
    rate = alignment_error_rate(rows["awesome_align"], rows["sure"], rows["possible"])
    assert round(100 * rate, 3) == percent


def test_error_rate_of_small_alignments():
    sure, possible = [[(0, 0), (1, 2)]], [[(0, 0), (1, 2), (2, 1)]]
    assert alignment_error_rate(sure, sure, possible) == 0
    assert alignment_error_rate([[(2, 1)]], sure, possible) == pytest.approx(1 - 1 / 3)
    assert alignment_error_rate([[(5, 5)]], sure, possible) == 1
    # Sure links are possible, whether the second list repeats them or not.
    assert alignment_error_rate(sure, sure, [[(2, 1)]]) == 0


def test_error_rate_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing to compare"):
        alignment_error_rate([[]], [[]], [[]])
    with pytest.raises(ValueError, match="1 alignments, but 2"):
        alignment_error_rate([[]], [[], []], [[]])


def test_strongest_links():
    weights = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
    attention = AttentionMap(("a", "b", "c"), ("x", "y"), weights[None, None])
    assert attention_alignment(attention) == {(1, 0), (0, 1)}
    assert attention_alignment(attention, direction="source") == {(0, 1), (1, 0), (2, 0)}
    with pytest.raises(ValueError, match="'target' or 'source'"):
        attention_alignment(attention, direction="both")
