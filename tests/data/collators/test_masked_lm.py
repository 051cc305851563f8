import numpy as np
import pytest
import torch

from hf_vanilla_transformer.data import MaskedLanguageModelingCollator
from hf_vanilla_transformer.tokenization import train_tokenizer


@pytest.fixture(scope="module")
def features(pairs, encoder_tokenizer):
    return [dict(encoder_tokenizer(source, target)) for source, target in pairs]


@pytest.mark.parametrize("packing", [False, True])
def test_only_predicted_tokens_change_and_have_labels(packing, features, encoder_tokenizer):
    torch.manual_seed(0)
    collate = MaskedLanguageModelingCollator(encoder_tokenizer, packing=packing)
    plain = np.concatenate([feature["input_ids"] for feature in features])
    segments = np.concatenate([feature["token_type_ids"] for feature in features])
    for _ in range(20):
        batch = collate(features)
        kept = batch["attention_mask"] == 1 if "attention_mask" in batch else torch.ones_like(batch["labels"]) == 1
        masked_ids, labels = batch["input_ids"][kept].numpy(), batch["labels"][kept].numpy()
        predicted = labels != -100
        assert (labels[predicted] == plain[predicted]).all()
        assert (masked_ids[~predicted] == plain[~predicted]).all()
        assert not np.isin(plain[predicted], encoder_tokenizer.all_special_ids).any()
        assert (batch["token_type_ids"][kept].numpy() == segments).all()
        assert (batch["labels"][~kept] == -100).all()
        if packing:
            positions = np.concatenate([np.arange(len(feature["input_ids"])) for feature in features])
            assert (batch["position_ids"][kept].numpy() == positions).all()
            assert torch.equal(batch["seq_idx"], (batch["position_ids"] == 0).cumsum(-1) - 1)


@pytest.mark.parametrize("probability", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("unit", ["token", "whole_word", "span"])
def test_the_fractions_of_the_80_10_10_rule(probability, unit, encoder_tokenizer):
    """On 200,000 tokens, each fraction is within five standard errors."""
    torch.manual_seed(1)
    ordinary = [index for index in range(len(encoder_tokenizer)) if index not in encoder_tokenizer.all_special_ids]
    ids = np.random.default_rng(0).choice(ordinary, (100, 2000))
    collate = MaskedLanguageModelingCollator(encoder_tokenizer, probability, unit=unit)
    batch = collate([{"input_ids": row} for row in ids])
    labels, masked_ids = batch["labels"].numpy(), batch["input_ids"].numpy()
    predicted = labels != -100

    def near(found, expected, trials):
        # The tokens of a word or span are not independent; words of this vocabulary have less than 9 tokens on average.
        spread = {"token": 1, "whole_word": 3 if expected == probability else 1, "span": 7}[unit]
        assert abs(found - expected) < 5 * spread * np.sqrt(expected * (1 - expected) / trials)

    near(predicted.mean(), probability, ids.size)
    masked = masked_ids[predicted] == encoder_tokenizer.mask_token_id
    same = masked_ids[predicted] == ids[predicted]
    count = predicted.sum()
    near(masked.mean(), 0.8, count)
    # A random token is sometimes the original one.
    near(same.mean(), 0.1 + 0.1 / len(ordinary), count)
    replaced = masked_ids[predicted][~masked & ~same]
    assert not np.isin(replaced, encoder_tokenizer.all_special_ids).any()
    assert len(set(replaced.tolist())) > 0.9 * len(ordinary) or count < 2e4


def test_all_predicted_tokens_can_be_masked_or_unchanged(encoder_tokenizer, features):
    only_masks = MaskedLanguageModelingCollator(encoder_tokenizer, 1.0, mask_share=1.0, random_share=0.0)(features)
    predicted = only_masks["labels"] != -100
    assert (only_masks["input_ids"][predicted] == encoder_tokenizer.mask_token_id).all()
    special = torch.isin(only_masks["input_ids"], torch.tensor([0, 2, 3]))
    assert torch.equal(predicted, ~special)
    unchanged = MaskedLanguageModelingCollator(encoder_tokenizer, 1.0, mask_share=0.0, random_share=0.0)(features)
    assert torch.equal(unchanged["input_ids"][predicted], unchanged["labels"][predicted])


def test_masks_depend_on_the_seed_of_torch(encoder_tokenizer, features):
    collate = MaskedLanguageModelingCollator(encoder_tokenizer)

    def labels(seed):
        torch.manual_seed(seed)
        return collate(features)["labels"]

    assert torch.equal(labels(1), labels(1))
    assert not torch.equal(labels(1), labels(2))


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte_bpe", "unigram"])
@pytest.mark.parametrize("packing", [False, True])
def test_words_are_masked_completely(kind, packing, pairs):
    texts = [text for pair in pairs for text in pair]
    # The vocabulary is so small that most words have several tokens.
    size = {"byte_bpe": 280, "unigram": 60}.get(kind, 75)
    tokenizer = train_tokenizer(texts, kind=kind, vocab_size=size, template="encoder", pretokenized=True)
    collate = MaskedLanguageModelingCollator(tokenizer, 0.3, unit="whole_word", packing=packing)
    encoded = [tokenizer(text) for text in texts]
    words = np.concatenate([[-1 if word is None else word for word in one.word_ids()] for one in encoded])
    text_of = np.repeat(np.arange(len(texts)), [len(one["input_ids"]) for one in encoded])
    torch.manual_seed(0)
    split = 0
    for _ in range(5):
        batch = collate([{"input_ids": one["input_ids"]} for one in encoded])
        labels = batch["labels"].numpy()
        kept = batch["attention_mask"].numpy() == 1 if not packing else np.ones_like(labels) == 1
        predicted = (labels != -100)[kept]
        for number in np.unique(text_of):
            for word in np.unique(words[text_of == number]):
                chosen = predicted[(text_of == number) & (words == word)]
                assert chosen.all() or not chosen.any()
                assert word >= 0 or not chosen.any()
                split += len(chosen) > 1
    assert split > 100


def test_a_batch_always_has_a_label(encoder_tokenizer, features):
    collate = MaskedLanguageModelingCollator(encoder_tokenizer, 1e-6)
    for feature in features:
        assert (collate([feature])["labels"] != -100).sum() == 1
    only_special = {"input_ids": [encoder_tokenizer.cls_token_id, encoder_tokenizer.sep_token_id]}
    assert (collate([only_special])["labels"] == -100).all()


def test_text_is_tokenized_and_a_special_tokens_mask_is_respected(pairs, encoder_tokenizer, features):
    collate = MaskedLanguageModelingCollator(encoder_tokenizer, max_length=6)
    batch = collate([{"text": source} for source, _ in pairs])
    assert batch["input_ids"].shape == (len(pairs), 6) and "token_type_ids" in batch
    protected = {**features[0], "special_tokens_mask": [1] * len(features[0]["input_ids"])}
    protected["special_tokens_mask"][2] = 0
    labels = MaskedLanguageModelingCollator(encoder_tokenizer, 1.0)([protected])["labels"]
    assert (labels != -100).nonzero().tolist() == [[0, 2]]


def test_next_sentence_labels_need_padded_rows(features, encoder_tokenizer):
    rows = [{**feature, "next_sentence_label": index % 2} for index, feature in enumerate(features)]
    batch = MaskedLanguageModelingCollator(encoder_tokenizer)(rows)
    assert batch["next_sentence_label"].tolist() == [index % 2 for index in range(len(features))]
    with pytest.raises(ValueError, match=r"next_sentence_label.*packing=False"):
        MaskedLanguageModelingCollator(encoder_tokenizer, packing=True)(rows)


def test_illegal_arguments_are_refused(encoder_tokenizer, translation_tokenizer):
    with pytest.raises(ValueError, match=r"mask_token.*'encoder'"):
        MaskedLanguageModelingCollator(translation_tokenizer)
    for probability in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"mask_probability.*{probability}"):
            MaskedLanguageModelingCollator(encoder_tokenizer, probability)
    with pytest.raises(ValueError, match=r"mask_share=0\.8.*random_share=0\.3"):
        MaskedLanguageModelingCollator(encoder_tokenizer, random_share=0.3)
    with pytest.raises(ValueError, match=r"row_length=9"):
        MaskedLanguageModelingCollator(encoder_tokenizer, row_length=9)
