"""T5's span corruption: source and target contain the text, and the lengths are those of the paper."""

import numpy as np
import pytest
import torch

from hf_vanilla_transformer.data import SpanCorruptionCollator
from hf_vanilla_transformer.data.collators.span_corruption import corrupt_spans, random_segments
from hf_vanilla_transformer.data.sentinels import sentinel_ids
from hf_vanilla_transformer.tokenization import train_tokenizer

SENTINELS = list(range(1000, 1100))


def restored(source, target, end):
    """The text, restored from source and target."""
    spans = {}
    for token in target[: len(target) - len(end)].tolist():
        if token >= 1000:
            spans[token] = current = []
        else:
            current.append(token)
    text = []
    for token in source[: len(source) - len(end)].tolist():
        text += spans[token] if token >= 1000 else [token]
    return text


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 50, 509, 510])
@pytest.mark.parametrize("probability", [0.01, 0.15, 0.5])
@pytest.mark.parametrize("mean", [1.0, 3.0, 50.0])
def test_both_sides_together_restore_the_text(count, probability, mean):
    random = np.random.default_rng(0)
    ids = np.arange(10, 10 + count)
    for _ in range(20):
        source, target = corrupt_spans(ids, SENTINELS, [1], probability, mean, max(count + 1, 8), random)
        assert restored(source, target, [1]) == ids.tolist()
        assert max(len(source), len(target)) <= max(count + 1, 8)
        used = [token for token in source.tolist() if token >= 1000]
        assert used == SENTINELS[: len(used)]
        closing = [token for token in target.tolist() if token >= 1000]
        assert closing == SENTINELS[: len(used) + 1], "one more sentinel than spans, as in Figure 2"


def test_the_lengths_of_the_paper():
    """15 % of 512 tokens in spans of 3: a source of about 460 tokens, a target of about 104 (114 of 568 in T5)."""
    random = np.random.default_rng(1)
    masked, spans = [], []
    for _ in range(200):
        source, target = corrupt_spans(np.arange(10, 522), SENTINELS, [1], 0.15, 3.0, 600, random)
        spans.append((source >= 1000).sum())
        masked.append(((target >= 10) & (target < 1000)).sum())
    assert np.mean(masked) == pytest.approx(0.15 * 512, abs=0.2)
    assert np.mean(spans) == pytest.approx(0.15 * 512 / 3, abs=0.2)


def test_segments_are_all_equally_likely():
    random = np.random.default_rng(2)
    drawn = [tuple(random_segments(5, 3, random)) for _ in range(6000)]
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 6 and (kinds.sum(axis=1) == 5).all() and (kinds >= 1).all()
    assert (abs(counts - 1000) < 150).all()


def test_fewer_sentinels_mean_fewer_spans():
    source, target = corrupt_spans(np.arange(10, 210), [1000, 1001], [1], 0.5, 1.0, 300, np.random.default_rng(0))
    assert (source >= 1000).sum() == 2 and restored(source, target, [1]) == list(range(10, 210))


@pytest.fixture(scope="module")
def tokenizer():
    made = train_tokenizer(["the small dog is old", "a green house"], kind="bpe", vocab_size=60, template="seq2seq")
    made.add_tokens([f"<extra_id_{number}>" for number in range(20)], special_tokens=True)
    return made


@pytest.mark.parametrize("packing", [False, True])
def test_batches_are_padded_or_packed(tokenizer, packing, tmp_path):
    torch.manual_seed(0)
    features = [{"input_ids": tokenizer("the small dog is old " * number)["input_ids"]} for number in range(1, 6)]
    collate = SpanCorruptionCollator(tokenizer, 24, packing=packing)
    assert collate.sentinels == sentinel_ids(tokenizer) and len(collate.sentinels) == 20
    batch = collate(features)
    assert batch["input_ids"].shape[1] <= 24 and batch["labels"].shape[1] <= 24
    ends = tokenizer.eos_token_id
    assert (batch["input_ids"] == ends).sum() == (batch["labels"] == ends).sum() == 5
    assert ("position_ids" in batch) == packing
    tokenizer.save_pretrained(tmp_path)
    again = type(tokenizer).from_pretrained(tmp_path)
    assert sentinel_ids(again) == collate.sentinels
    assert again.decode(collate.sentinels, skip_special_tokens=True) == ""


def test_illegal_arguments_are_refused(tokenizer, translation_tokenizer):
    with pytest.raises(ValueError, match="<extra_id_0>"):
        SpanCorruptionCollator(translation_tokenizer, 32)
    with pytest.raises(ValueError, match=r"mask_probability.*0\.6"):
        SpanCorruptionCollator(tokenizer, 32, mask_probability=0.6)
    with pytest.raises(ValueError, match=r"mean_span_length.*0"):
        SpanCorruptionCollator(tokenizer, 32, mean_span_length=0)
    with pytest.raises(ValueError, match=r"max_length.*4"):
        SpanCorruptionCollator(tokenizer, 4)
