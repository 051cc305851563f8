"""The best answer spans over windows of logits, against a search that is written out."""

import itertools
import unicodedata

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hf_vanilla_transformer.generation.answer_spans import AnswerSpan, AnswerWindow, best_spans, complete_offsets

CONTEXT = "one two sea red old men"
OFFSETS = [None, None, *((4 * n, 4 * n + 3) for n in range(6)), None]


def all_spans(windows, longest):
    """The log-probability of every span over all windows, by characters."""
    inside = slice(2, 8)
    totals = [
        np.log(sum(np.exp(getattr(w, name)[inside]).sum() for w in windows)) for name in ("start_logits", "end_logits")
    ]
    found = {}
    for window in windows:
        for first in range(2, 8):
            for last in range(first, min(first + longest, 8)):
                score = window.start_logits[first] - totals[0] + window.end_logits[last] - totals[1]
                span = OFFSETS[first][0], OFFSETS[last][1]
                found[span] = max(score, found.get(span, -np.inf))
    return found


@pytest.mark.parametrize("top_k", [1, 4, 100])
def test_the_best_spans_are_those_of_a_search_over_all(top_k):
    generator = np.random.default_rng(0)
    windows = [AnswerWindow(generator.normal(size=9), generator.normal(size=9), OFFSETS) for _ in range(3)]
    expected = all_spans(windows, 3)
    spans = best_spans(CONTEXT, windows, top_k=top_k, max_answer_tokens=3)
    assert [(span.start, span.end) for span in spans] == sorted(expected, key=lambda span: -expected[span])[:top_k]
    for span in spans:
        assert span.probability == pytest.approx(np.exp(expected[span.start, span.end]))


def test_the_empty_answer_has_the_probability_of_the_window_where_it_is_lowest():
    offsets = [None, (0, 3), (4, 7)]
    sure = AnswerWindow(np.array([9.0, 0.0, 0.0]), np.array([9.0, 0.0, 0.0]), offsets)
    unsure = AnswerWindow(np.array([-9.0, 5.0, 0.0]), np.array([-9.0, 5.0, 0.0]), offsets)
    assert best_spans(CONTEXT, [sure], allow_empty=True)[0].end == 0
    assert best_spans(CONTEXT, [sure, unsure], allow_empty=True)[0].end == 3
    assert best_spans(CONTEXT, [sure])[0].end > 0


def test_the_probabilities_of_all_answers_with_the_empty_one_add_up_at_each_end():
    generator = np.random.default_rng(1)
    window = AnswerWindow(generator.normal(size=4), generator.normal(size=4), [None, (0, 3), (4, 7), (8, 11)])
    starts, ends = (np.exp(logits) / np.exp(logits).sum() for logits in (window.start_logits, window.end_logits))
    spans = best_spans(CONTEXT, [window], top_k=10, allow_empty=True)
    expected = {(0, 0): starts[0] * ends[0]}
    for first, last in itertools.combinations_with_replacement(range(3), 2):
        expected[4 * first, 4 * last + 3] = starts[first + 1] * ends[last + 1]
    assert {(span.start, span.end): span.probability for span in spans} == pytest.approx(expected)


def test_an_answer_has_no_white_space_at_its_ends():
    # Byte-level tokenizers count a space to the following word; some have tokens of white space alone.
    context = "a  sea"
    offsets = [None, (0, 1), (1, 2), (2, 6)]
    window = AnswerWindow(np.array([0.0, 0.0, 9.0, 1.0]), np.array([0.0, 0.0, 9.0, 1.0]), offsets)
    spans = best_spans(context, [window], top_k=10)
    assert {context[span.start : span.end] for span in spans} == {"a", "sea", "a  sea"}
    assert context[spans[0].start : spans[0].end] == "sea"


def test_a_context_without_tokens_has_the_empty_answer():
    window = AnswerWindow(np.zeros(2), np.zeros(2), [None, None])
    assert best_spans("", [window]) == [AnswerSpan(0, 0, 0.0)]


def test_tokens_of_decomposed_text_end_where_their_last_character_ends():
    vocabulary = {"[UNK]": 0, "서울": 1, "##은": 2, "café": 3, "가": 4}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFC(), pre_tokenizers.BertPreTokenizer()
    words = ["서울", "은", "café", "서울"]
    decomposed = [unicodedata.normalize("NFD", word) for word in words]
    text = f"{decomposed[0]}{decomposed[1]} {decomposed[2]} {decomposed[3]}"
    encoded = tokenizer.encode(text)
    assert encoded.tokens == ["서울", "##은", "café", "서울"]
    offsets = complete_offsets(text, [None, *encoded.offsets])
    assert offsets[0] is None and [text[begin:end] for begin, end in offsets[1:]] == decomposed
    composed = "서울은 café"
    encoded = tokenizer.encode(composed)
    assert complete_offsets(composed, encoded.offsets) == encoded.offsets
