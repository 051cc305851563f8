import json

import numpy as np
import pytest
import torch

from hf_vanilla_transformer.data import TokenBatchSampler, TranslationCollator
from hf_vanilla_transformer.tokenization import train_tokenizer


@pytest.fixture(scope="module")
def features(pairs, translation_tokenizer):
    encode = translation_tokenizer
    made = [{"input_ids": encode(a)["input_ids"], "labels": encode(b)["input_ids"]} for a, b in pairs]
    # Sides of different lengths, the source longer or the target longer.
    return [
        {"input_ids": one["input_ids"][index % 4 :], "labels": one["labels"][index % 3 :]}
        for index, one in enumerate(made)
    ]


def unpacked(values, positions, mask=None):
    """The sequences of packed rows, in order, each row with its own list."""
    rows = []
    for index, row in enumerate(values.tolist()):
        sequences: list[list[int]] = []
        for column, value in enumerate(row):
            if mask is not None and not mask[index, column]:
                continue
            if positions[index, column] == 0:
                sequences.append([])
            assert positions[index, column] == len(sequences[-1])
            sequences[-1].append(value)
        rows.append(sequences)
    return rows


def test_padded_rows(features, translation_tokenizer):
    batch = TranslationCollator(translation_tokenizer)(features)
    assert list(batch) == ["input_ids", "attention_mask", "labels", "decoder_input_ids"]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
    bos, pad = translation_tokenizer.bos_token_id, translation_tokenizer.pad_token_id
    for row, feature in enumerate(features):
        source, target = feature["input_ids"], feature["labels"]
        blank = batch["input_ids"].shape[1] - len(source)
        assert batch["input_ids"][row].tolist() == source + [pad] * blank
        assert batch["attention_mask"][row].tolist() == [1] * len(source) + [0] * blank
        blank = batch["labels"].shape[1] - len(target)
        assert batch["labels"][row].tolist() == target + [-100] * blank
        assert batch["decoder_input_ids"][row].tolist() == [bos, *target[:-1]] + [pad] * blank
    assert batch["input_ids"].shape[1] == max(len(feature["input_ids"]) for feature in features)


@pytest.mark.parametrize("row_length", [None, 15, 40])
def test_packed_rows_hold_the_same_pairs(row_length, features, translation_tokenizer):
    batch = TranslationCollator(translation_tokenizer, packing=True, row_length=row_length)(features)
    mask, decoder_mask = batch.get("attention_mask"), batch.get("decoder_attention_mask")
    sources = unpacked(batch["input_ids"], batch["position_ids"], mask)
    inputs = unpacked(batch["decoder_input_ids"], batch["decoder_position_ids"], decoder_mask)
    labels = unpacked(batch["labels"], batch["decoder_position_ids"], decoder_mask)
    for side in ("", "decoder_"):
        numbers = (batch[f"{side}position_ids"] == 0).cumsum(-1) - 1
        assert torch.equal(batch[f"{side}seq_idx"], numbers)
    found = []
    for source_row, input_row, label_row in zip(sources, inputs, labels):
        assert len(source_row) == len(input_row) == len(label_row)
        for source, shifted, target in zip(source_row, input_row, label_row):
            assert shifted == [translation_tokenizer.bos_token_id, *target[:-1]]
            found.append({"input_ids": source, "labels": target})
    key = json.dumps
    assert sorted(found, key=key) == sorted(features, key=key)
    if row_length is None:
        assert len(sources) == 1 and found == features
        assert mask is None and decoder_mask is None
    else:
        assert max(batch["input_ids"].shape[1], batch["labels"].shape[1]) <= row_length
        # As few rows as possible: no two of them fit into one.
        held = [(sum(map(len, a)), sum(map(len, b))) for a, b in zip(sources, labels)]
        assert all(
            max(a[0] + b[0], a[1] + b[1]) > row_length for i, a in enumerate(held) for b in held[i + 1 :]
        )  # fmt: skip


def test_the_padding_of_packed_rows_has_no_sequence_of_its_own(features, translation_tokenizer):
    batch = TranslationCollator(translation_tokenizer, packing=True, row_length=16, pad_to_multiple_of=8)(features)
    for ids, positions, mask in (
        ("input_ids", "position_ids", "attention_mask"),
        ("decoder_input_ids", "decoder_position_ids", "decoder_attention_mask"),
    ):
        padding = batch[mask] == 0
        assert padding.any() and batch[ids].shape[1] % 8 == 0
        assert (batch[ids][padding] == translation_tokenizer.pad_token_id).all()
        assert (batch[positions][padding] > 0).all()
        ascending = batch[positions][:, 1:] == batch[positions][:, :-1] + 1
        assert ascending[padding[:, 1:]].all()
        assert (padding[:, 1:] >= padding[:, :-1]).all()  # on the right
    assert (batch["labels"][batch["decoder_attention_mask"] == 0] == -100).all()
    assert (batch["labels"][batch["decoder_attention_mask"] == 1] != -100).all()


def test_text_is_tokenized(pairs, translation_tokenizer):
    encoded = [
        {"input_ids": translation_tokenizer(a)["input_ids"], "labels": translation_tokenizer(b)["input_ids"]}
        for a, b in pairs
    ]
    texts = [{"source": source, "target": target} for source, target in pairs]
    for packing in (False, True):
        collate = TranslationCollator(translation_tokenizer, packing=packing)
        expected, found = collate(encoded), collate(texts)
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    short = TranslationCollator(translation_tokenizer, max_length=3)(texts)
    assert short["input_ids"].shape[1] == short["labels"].shape[1] == 3
    assert (short["labels"][:, -1] == translation_tokenizer.eos_token_id).all()


def test_bpe_dropout_differs_between_batches_and_does_not_change_the_tokenizer(pairs, translation_tokenizer):
    texts = [{"source": source, "target": target} for source, target in pairs]
    plain = translation_tokenizer(pairs[0][0])["input_ids"]
    collate = TranslationCollator(translation_tokenizer, dropout=0.5)
    first, second = collate(texts), collate(texts)
    assert first["labels"].shape != second["labels"].shape or not torch.equal(first["labels"], second["labels"])
    decoded = translation_tokenizer.batch_decode(first["input_ids"], skip_special_tokens=True)
    assert decoded == [source for source, _ in pairs]
    assert translation_tokenizer(pairs[0][0])["input_ids"] == plain


def test_arrays_and_tensors_are_features_too(features, translation_tokenizer):
    expected = TranslationCollator(translation_tokenizer)(features)
    for kind in (np.array, torch.tensor):
        other = [{name: kind(ids) for name, ids in feature.items()} for feature in features]
        found = TranslationCollator(translation_tokenizer)(other)
        assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_batches_of_the_sampler_keep_the_budget(features, translation_tokenizer):
    lengths = [(len(feature["input_ids"]), len(feature["labels"])) for feature in features]
    for packing in (False, True):
        sampler = TokenBatchSampler(lengths, 50, count="sum" if packing else "padded")
        collate = TranslationCollator(translation_tokenizer, packing=packing)
        for rows in sampler:
            batch = collate([features[row] for row in rows])
            assert batch["input_ids"].numel() <= 50 and batch["labels"].numel() <= 50


def test_illegal_arguments_are_refused(pairs, features, translation_tokenizer):
    no_start = train_tokenizer([a for a, _ in pairs], kind="byte_bpe", vocab_size=300, template="encoder")
    with pytest.raises(ValueError, match=r"bos_token.*'seq2seq'"):
        TranslationCollator(no_start)
    with pytest.raises(ValueError, match=r"row_length=9.*packing=True"):
        TranslationCollator(translation_tokenizer, row_length=9)
    with pytest.raises(ValueError, match=r"\d+ tokens.*row_length=3"):
        TranslationCollator(translation_tokenizer, packing=True, row_length=3)(features)
