"""BART's noise: text infilling and sentence permutation; the target is the original text."""

import numpy as np
import pytest
import torch
from tokenizers import AddedToken

from hf_vanilla_transformer.data import DenoisingCollator
from hf_vanilla_transformer.data.collators.denoising import infill, permute_sentences, sentence_ends
from hf_vanilla_transformer.tokenization import train_tokenizer

TEXT = "the small dog is old . the green house was small . a river is green . "


@pytest.fixture(scope="module")
def tokenizer():
    made = train_tokenizer([TEXT, 'he said : " the dog is 3.14 old ! " and so on'], kind="bpe", vocab_size=90,
                           template="seq2seq")  # fmt: skip
    made.add_special_tokens({"mask_token": AddedToken("<mask>", special=True)})
    return made


def is_subsequence(short, long):
    remaining = iter(long)
    return all(token in remaining for token in short)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 300])
@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_infilling_replaces_each_span_by_one_mask_token(count, probability):
    random = np.random.default_rng(0)
    for _ in range(50):
        ids = np.arange(10, 10 + count)
        noisy = infill(ids, np.ones(count, dtype=bool), 1, probability, 3.0, count + 5, random)
        kept = noisy[noisy != 1]
        assert is_subsequence(kept.tolist(), ids.tolist()) and len(noisy) <= count + 5
        assert not ((noisy[:-1] == 1) & (noisy[1:] == 1)).any(), "two adjacent mask tokens would stand for one span"
        if probability == 0:
            assert (noisy == ids).all()


def test_the_fraction_and_the_lengths_are_those_of_the_paper():
    """Section 2.2: 30 % of the tokens, Poisson lengths of mean 3, among them 0."""
    random = np.random.default_rng(1)
    masked, lengths, empty = 0, [], 0
    for _ in range(300):
        noisy = infill(np.arange(10, 510), np.ones(500, dtype=bool), 1, 0.3, 3.0, 512, random)
        values = np.where(noisy == 1, -1, noisy)
        positions = np.flatnonzero(values == -1)
        masked += 500 - (values != -1).sum()
        before = np.r_[9, values][positions]
        after = np.r_[values, 510][positions + 1]
        gaps = after - before - 1
        lengths += gaps[gaps > 0].tolist()
        empty += (gaps == 0).sum()
    assert masked / (300 * 500) == pytest.approx(0.3, abs=0.005)
    # Of a Poisson distribution of mean 3, 5 % are 0, and the others have the mean 3 / 0.95.
    assert empty / (len(lengths) + empty) == pytest.approx(np.exp(-3), abs=0.01)
    assert np.mean(lengths) == pytest.approx(3 / (1 - np.exp(-3)), abs=0.1)


def test_no_text_exceeds_the_limit():
    random = np.random.default_rng(2)
    for _ in range(100):
        assert len(infill(np.arange(10, 60), np.ones(50, dtype=bool), 1, 0.3, 1.0, 50, random)) <= 50


def test_spans_begin_at_the_beginning_of_words():
    random = np.random.default_rng(3)
    begins = np.arange(300) % 3 == 0
    noisy = infill(np.arange(10, 310), begins, 1, 0.2, 3.0, 300, random)
    kept = set(noisy.tolist())
    starts = [index for index in range(300) if index + 10 not in kept and (index == 0 or index + 9 in kept)]
    assert starts and all(begins[index] for index in starts)


def test_complete_sentences_are_permuted(tokenizer):
    ids = np.array(tokenizer(TEXT)["input_ids"][:-1])
    ends, closing = sentence_ends(tokenizer)
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        permuted = permute_sentences(ids, np.ones(len(ids), dtype=bool), ends, closing, random)
        seen.add(tokenizer.decode(permuted))
    sentences = sorted(part.strip() + " ." for part in TEXT.split(" . ") if part.strip())
    assert len(seen) == 6, "three sentences have six permutations"
    for text in seen:
        assert sorted(part.strip() + " ." for part in (text + " ").split(" . ") if part.strip()) == sentences


def test_a_decimal_point_ends_no_sentence_and_a_closing_quote_belongs_to_its_sentence(tokenizer):
    text = 'the dog is 3.14 old ! " and so'
    ids = np.array(tokenizer(text)["input_ids"][:-1])
    ends, closing = sentence_ends(tokenizer)
    begins = DenoisingCollator(tokenizer, 64)._begins_word(ids)
    seen = {
        tokenizer.decode(permute_sentences(ids, begins, ends, closing, np.random.default_rng(seed)))
        for seed in range(20)
    }
    assert seen == {text, 'and so the dog is 3.14 old ! "'}


@pytest.mark.parametrize("packing", [False, True])
def test_the_target_is_the_original_text(tokenizer, packing):
    torch.manual_seed(0)
    features = [{"input_ids": tokenizer(TEXT[: 10 * number])["input_ids"]} for number in range(1, 8)]
    batch = DenoisingCollator(tokenizer, 48, packing=packing)(features)
    end = tokenizer.eos_token_id
    texts = sorted((*feature["input_ids"][:-1][:47], end) for feature in features)
    found, current = [], []
    for label in batch["labels"].flatten().tolist():
        if label != -100:
            current.append(label)
            if label == tokenizer.eos_token_id:
                found.append(tuple(current))
                current = []
    assert sorted(found) == texts
    assert (batch["input_ids"] == tokenizer.mask_token_id).any()
    assert (batch["decoder_input_ids"] != tokenizer.mask_token_id).all()
    sources = (batch["input_ids"] == tokenizer.eos_token_id).sum()
    assert sources == len(features), "each source keeps its end token"


def test_illegal_arguments_are_refused(tokenizer, translation_tokenizer):
    with pytest.raises(ValueError, match="mask_token"):
        DenoisingCollator(translation_tokenizer, 32)
    with pytest.raises(ValueError, match=r"mask_probability.*2"):
        DenoisingCollator(tokenizer, 32, mask_probability=2)
    with pytest.raises(ValueError, match=r"mean_span_length.*0"):
        DenoisingCollator(tokenizer, 32, mean_span_length=0.5)
