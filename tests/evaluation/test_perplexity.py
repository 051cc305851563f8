"""Perplexity from summed losses."""

import math

import pytest

from hf_vanilla_transformer.evaluation.perplexity import Perplexity


def test_the_perplexity_of_a_fair_die_is_six():
    scores = Perplexity().compute(losses=[10 * math.log(6)], tokens=[10])
    assert scores == {"loss": pytest.approx(math.log(6)), "perplexity": pytest.approx(6)}


def test_every_token_has_the_same_weight():
    scores = Perplexity().compute(losses=[9 * math.log(2), math.log(32)], tokens=[9, 1])
    assert scores["perplexity"] == pytest.approx(2 ** ((9 + 5) / 10))


def test_a_perplexity_too_large_for_a_float_is_infinite():
    assert Perplexity().compute(losses=[1e6], tokens=[1]) == {"loss": 1e6, "perplexity": math.inf}


def test_a_text_without_tokens_is_an_error():
    with pytest.raises(ValueError, match="tokens=0"):
        Perplexity().compute(losses=[1.0], tokens=[0])
