"""Texts longer than the model allows: truncated, split into windows, or refused."""

import logging

import numpy as np
import pytest

from hf_vanilla_transformer.data import encode_texts, long_texts, vote

LONG = " ".join(["the small dog is", "the old river was"] * 8)
TEXTS = ["the dog is .", LONG, "the old house was ."]


def words(tokenizer, ids):
    special = set(tokenizer.all_special_ids)
    return [i for i in ids if i not in special]


def test_long_texts_are_truncated(encoder_tokenizer):
    encoded = encode_texts(encoder_tokenizer, TEXTS, max_length=12)
    assert [len(ids) for ids in encoded.columns["input_ids"]][1] == 12 and encoded.long == 1
    assert encoded.texts.tolist() == [0, 1, 2] and set(encoded.columns) >= {"input_ids", "attention_mask"}
    whole = encoder_tokenizer(TEXTS, truncation=True, max_length=12)
    assert encoded.columns["input_ids"] == whole["input_ids"]


@pytest.mark.parametrize("stride", [0, 3, None])
def test_windows_cover_the_complete_text(encoder_tokenizer, stride):
    encoded = encode_texts(encoder_tokenizer, TEXTS, max_length=12, long="window", stride=stride)
    assert encoded.texts[0] == 0 and encoded.texts[-1] == 2 and (np.diff(encoded.texts) >= 0).all()
    shared = 3 if stride is None else stride
    joined: list[int] = []
    for row, text in enumerate(encoded.texts):
        ids = encoded.columns["input_ids"][row]
        assert len(ids) <= 12 and len(ids) == len(encoded.columns["attention_mask"][row])
        if text == 1:
            inner = words(encoder_tokenizer, ids)
            joined += inner if not joined else inner[shared:]
    assert joined == words(encoder_tokenizer, encoder_tokenizer(LONG)["input_ids"])


def test_windows_of_pairs_contain_the_complete_shorter_text(encoder_tokenizer, caplog):
    question, book = "the dog is .", LONG
    for pair in ((question, book), (book, question)):
        encoded = encode_texts(encoder_tokenizer, [pair[0]], [pair[1]], max_length=20, long="window")
        assert len(encoded) > 2 and encoded.long == 1
        kept = encoder_tokenizer(question, add_special_tokens=False)["input_ids"]
        for ids in encoded.columns["input_ids"]:
            assert len(ids) <= 20 and str(kept)[1:-1] in str(ids)
    with caplog.at_level(logging.WARNING):
        encoded = encode_texts(encoder_tokenizer, [LONG], [LONG], max_length=20, long="window")
    assert len(encoded) == 1 and len(encoded.columns["input_ids"][0]) == 20 and "1 of 1 pairs" in caplog.text


def test_long_texts_are_refused(encoder_tokenizer):
    with pytest.raises(ValueError, match=r"1 of 3 .*max_length=12 .*test:1 \("):
        encode_texts(encoder_tokenizer, TEXTS, max_length=12, long="refuse", split="test")
    assert len(encode_texts(encoder_tokenizer, TEXTS, max_length=200, long="refuse")) == 3


def test_votes_are_means():
    scores = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.2, 0.8]])
    assert np.allclose(vote(scores, np.array([0, 1, 1, 2]), 3), [[1, 0], [0.25, 0.75], [0.2, 0.8]])
    assert np.allclose(vote(np.array([1.0, 3.0]), np.array([0, 0]), 1), [2.0])
    with pytest.raises(ValueError, match="text 1 "):
        vote(scores, np.array([0, 0, 2, 2]), 3)


def test_many_texts_are_tokenized_in_parts(encoder_tokenizer, monkeypatch):
    whole = encode_texts(encoder_tokenizer, TEXTS * 3, TEXTS[::-1] * 3, max_length=30)
    monkeypatch.setattr(long_texts, "_TEXTS_PER_CALL", 2)
    parts = encode_texts(encoder_tokenizer, TEXTS * 3, TEXTS[::-1] * 3, max_length=30)
    assert parts.columns == whole.columns and parts.texts.tolist() == whole.texts.tolist() == list(range(9))


def test_illegal_arguments_are_refused(encoder_tokenizer):
    with pytest.raises(ValueError, match="train"):
        encode_texts(encoder_tokenizer, [], max_length=12, split="train")
    with pytest.raises(ValueError, match=r"long.*'drop'"):
        encode_texts(encoder_tokenizer, TEXTS, max_length=12, long="drop")
    with pytest.raises(ValueError, match="max_length=2"):
        encode_texts(encoder_tokenizer, TEXTS, max_length=2)
    with pytest.raises(ValueError, match="stride=12"):
        encode_texts(encoder_tokenizer, TEXTS, max_length=12, long="window", stride=12)
