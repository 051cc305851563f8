"""SpanBERT's spans: their lengths, the tokens they may contain, and their replacement."""

import numpy as np
import pytest
import torch

from hf_vanilla_transformer.data import MaskedLanguageModelingCollator
from hf_vanilla_transformer.data.collators.span_masking import draw_spans, span_length_weights


def test_the_lengths_of_the_paper():
    """Section 3.1: a geometric distribution of p = 0.2, cut off at 10, has the mean 3.8."""
    expected = 0.8 ** np.arange(10)
    weights = span_length_weights(3.797, 10)
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-3)
    assert weights @ np.arange(1, 11) == pytest.approx(3.797)
    np.testing.assert_allclose(span_length_weights(1.0, 10), [1] + [0] * 9, atol=1e-9)


@pytest.mark.parametrize("mean", [0.5, 5.5, 20.0])
def test_means_that_no_decreasing_distribution_has_are_refused(mean):
    with pytest.raises(ValueError, match=rf"mean_span_length={mean}.*5\.5"):
        span_length_weights(mean, 10)


def test_spans_are_complete_words_of_one_text():
    random = np.random.default_rng(0)
    lengths = random.integers(3, 60, 200)
    maskable = np.ones(lengths.sum(), dtype=bool)
    ends = np.cumsum(lengths)
    maskable[ends - lengths] = maskable[ends - 1] = False  # like [CLS] and [SEP]
    begins = (random.random(len(maskable)) < 0.6) | ~maskable
    begins[1:] |= ~maskable[:-1]
    words = np.cumsum(begins) - 1
    spans = draw_spans(maskable, words, lengths, 0.15, span_length_weights(3.8, 10), random)
    text_of = np.repeat(np.arange(len(lengths)), lengths)
    assert not (spans[~maskable] >= 0).any()
    for number in range(spans.max() + 1):
        places = np.flatnonzero(spans == number)
        if not len(places):  # its first word was skipped, because it was the last of its text
            continue
        assert (np.diff(places) == 1).all() and len(set(text_of[places])) == 1
        covered = np.unique(words[places])
        assert (np.isin(words, covered) == (spans == number)).all(), "complete words"
        assert len(covered) <= 10
    assert (spans >= 0).sum() / maskable.sum() == pytest.approx(0.15, abs=0.015)


def test_the_tokens_of_a_span_are_treated_alike(encoder_tokenizer):
    torch.manual_seed(0)
    ordinary = [index for index in range(len(encoder_tokenizer)) if index not in encoder_tokenizer.all_special_ids]
    ids = np.random.default_rng(0).choice(ordinary, (50, 400))
    collate = MaskedLanguageModelingCollator(encoder_tokenizer, 0.15, unit="span", mean_span_length=3.0)
    batch = collate([{"input_ids": row} for row in ids])
    labels, shown = batch["labels"].numpy(), batch["input_ids"].numpy()
    mask = encoder_tokenizer.mask_token_id
    adjacent = (labels[:, :-1] != -100) & (labels[:, 1:] != -100)
    both = (shown[:, :-1] == mask) == (shown[:, 1:] == mask)
    # Adjacent tokens are nearly always from one span; 32 % of independent tokens would differ.
    assert both[adjacent].mean() > 0.9


def test_unknown_units_are_refused(encoder_tokenizer):
    with pytest.raises(ValueError, match=r"unit.*token, whole_word, span.*'word'"):
        MaskedLanguageModelingCollator(encoder_tokenizer, unit="word")
