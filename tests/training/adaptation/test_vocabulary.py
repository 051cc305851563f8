"""New words in a vocabulary: segmentation, ids, saving and loading; embeddings of new tokens."""

import json
import unicodedata

import datasets
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizerFast, GPT2TokenizerFast, PreTrainedTokenizerFast

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderForMaskedLM,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
)
from hf_vanilla_transformer.tokenization import train_tokenizer
from hf_vanilla_transformer.training.adaptation import extend_embeddings, extend_tokenizer, frequent_words
from hf_vanilla_transformer.training.adaptation.vocabulary import differing_texts, unfolded

GENERAL = ["the old man reads a book near the river", "two dogs run over the green hill", "a small house, he said"] * 3
DOMAIN = [
    "the rollercoaster stands near the river; a rollercoaster!",
    "rollercoasters run. he said: rollercoaster",
    "a coaster near the hill, the overroll",
    "she reads 'rollercoaster' and the hillside; hillside hillside",
    "Rollercoaster-like hillsides, xrollercoaster rollercoaster2 my_hillside",
]
KINDS = [
    ("byte_bpe", "decoder", 300),
    ("byte_bpe", "seq2seq", 300),
    ("bpe", "decoder", 90),
    ("unigram", "encoder", 70),
    ("wordpiece", "encoder", 90),
]


def make(kind, template, size, texts=GENERAL, **options):
    alphabet = ["abcdefghijklmnopqrstuvwxyz R-_.,;:!'2"]
    return train_tokenizer([*texts, *alphabet], kind=kind, vocab_size=size, template=template, **options)


@pytest.mark.parametrize(("kind", "template", "size"), KINDS)
def test_new_words_are_tokens_and_other_segmentations_do_not_change(kind, template, size, tmp_path):
    tokenizer = make(kind, template, size)
    before = json.loads(tokenizer.backend_tokenizer.to_str())
    words = frequent_words(DOMAIN * 2, tokenizer, min_count=2)
    extended = extend_tokenizer(tokenizer, words, 40)
    assert {"rollercoaster", "hillside"} <= {word.text for word in extended.words}
    assert json.loads(tokenizer.backend_tokenizer.to_str()) == before  # the old tokenizer does not change

    old, new = tokenizer.get_vocab(), extended.tokenizer.get_vocab()
    assert all(new[token] == index for token, index in old.items())
    assert sorted(extended.pieces) == list(range(len(old), len(new)))
    for word in extended.words:
        text = f"a {word.text} a"
        ids = extended.tokenizer(text, add_special_tokens=False)["input_ids"]
        (token,) = [index for index in ids if index in extended.pieces]
        if (
            kind in ("bpe", "wordpiece") or word.unit[0] in "Ġ▁"
        ):  # other units are words at the beginning of a text only
            assert extended.pieces[token] == word.pieces
    texts = [*GENERAL, *DOMAIN, "an [MASK] <s> unseen ☃ word", "", "  two  spaces "]
    assert not differing_texts(texts, tokenizer, extended)
    shorter = sum(len(extended.tokenizer(text)["input_ids"]) < len(tokenizer(text)["input_ids"]) for text in DOMAIN)
    assert shorter >= 3
    for text in texts:
        ids, known = extended.tokenizer(text)["input_ids"], tokenizer(text)["input_ids"]
        assert extended.tokenizer.decode(ids) == tokenizer.decode(known)

    extended.tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(texts)["input_ids"] == extended.tokenizer(texts)["input_ids"]
    assert loaded.special_tokens_map == tokenizer.special_tokens_map
    assert (loaded.padding_side, loaded.model_input_names) == (tokenizer.padding_side, tokenizer.model_input_names)


@pytest.mark.parametrize(("kind", "template", "size"), KINDS)
def test_new_words_of_korean_text(kind, template, size, shared_data, tmp_path):
    def texts(name, split, rows):
        file = str(shared_data / name / f"{split}.parquet")
        return list(datasets.load_dataset("parquet", data_files=file, split=f"train[:{rows}]")["text"])

    general, domain = texts("ud_korean_gsd", "train", 1500), texts("nsmc", "train", 1500)
    tokenizer = train_tokenizer(general, kind=kind, vocab_size=5000, template=template)
    words = frequent_words(domain, tokenizer, min_count=4)
    extended = extend_tokenizer(tokenizer, words, 150)
    assert 100 < len(extended.pieces) <= 150 and extended.words
    assert any("영화" in word.text for word in extended.words)
    differing = differing_texts([*domain, *general], tokenizer, extended)
    if kind == "wordpiece":  # symbols belong to the word they touch, but not to a new word
        differing = [text for text in differing if not any(unicodedata.category(sign)[0] == "S" for sign in text)]
    assert not differing
    extended.tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(domain[:200])["input_ids"] == extended.tokenizer(domain[:200])["input_ids"]
    for text in domain[:100]:
        known = tokenizer.decode(tokenizer(text)["input_ids"])
        assert loaded.decode(loaded(text)["input_ids"]) == known


def test_lower_cased_words_are_found_in_any_case():
    tokenizer = make("wordpiece", "encoder", 90, lowercase=True)
    extended = extend_tokenizer(tokenizer, frequent_words(DOMAIN, tokenizer, min_count=2), 10)
    ids = extended.tokenizer("The ROLLERCOASTER", add_special_tokens=False)["input_ids"]
    assert ids[-1] in extended.pieces
    assert not differing_texts([text.upper() for text in DOMAIN], tokenizer, extended)


@pytest.mark.parametrize(("kind", "template", "size"), KINDS)
def test_the_number_of_new_tokens_is_limited(kind, template, size):
    tokenizer = make(kind, template, size)
    words = frequent_words(DOMAIN, tokenizer, min_count=1)
    for limit in (0, 1, 3, 7):
        extended = extend_tokenizer(tokenizer, words, limit)
        assert len(extended.pieces) <= limit
        assert len(extended.tokenizer) == len(tokenizer) + len(extended.pieces)
    assert words == sorted(words, key=lambda word: (-word.count, word.unit))


def test_words_with_unknown_characters_are_left_out():
    tokenizer = make("wordpiece", "encoder", 90)
    words = frequent_words(["영화 영화 영화 rollercoaster 12345 12345 a.b.c"], tokenizer, min_count=1)
    assert [word.text for word in words] == ["rollercoaster"]


def test_extended_transformers_tokenizers_keep_their_segmentation_when_loaded(tmp_path):
    """transformers' own classes rebuild their tokenizer from vocabulary and merges, which would lose the new words."""
    trained = make("byte_bpe", "decoder", 300)
    saved = json.loads(trained.backend_tokenizer.to_str())["model"]
    gpt2 = GPT2TokenizerFast(vocab=saved["vocab"], merges=[tuple(merge) for merge in saved["merges"]],
                             eos_token="</s>", bos_token="</s>", unk_token="</s>")  # fmt: skip
    trained = make("wordpiece", "encoder", 90)
    bert = BertTokenizerFast(vocab=json.loads(trained.backend_tokenizer.to_str())["model"]["vocab"])
    for tokenizer in (gpt2, bert):
        extended = extend_tokenizer(tokenizer, frequent_words(DOMAIN, tokenizer, min_count=2), 20)
        assert extended.words and not differing_texts([*GENERAL, *DOMAIN], tokenizer, extended)
        extended.tokenizer.save_pretrained(tmp_path / type(tokenizer).__name__)
        loaded = AutoTokenizer.from_pretrained(tmp_path / type(tokenizer).__name__)
        assert loaded(DOMAIN)["input_ids"] == extended.tokenizer(DOMAIN)["input_ids"]


def test_tokens_added_after_the_vocabulary_keep_their_ids():
    for kind, template, size in KINDS:
        tokenizer = make(kind, template, size)
        tokenizer.add_special_tokens({"extra_special_tokens": ["<extra>"]})
        place = tokenizer.convert_tokens_to_ids("<extra>")
        extended = extend_tokenizer(tokenizer, frequent_words(DOMAIN, tokenizer, min_count=2), 10)
        assert extended.tokenizer.convert_tokens_to_ids("<extra>") == place
        assert min(extended.pieces) == place + 1
        assert extended.tokenizer.all_special_ids == tokenizer.all_special_ids
        known = extended.tokenizer("<extra> rollercoaster")["input_ids"]
        assert extended.tokenizer.decode(known, skip_special_tokens=True).strip() == "rollercoaster"
        assert not differing_texts(["the <extra> rollercoaster<extra>"], tokenizer, extended)


def test_tokenizers_that_cannot_be_extended_are_refused():
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]")))
    with pytest.raises(ValueError, match=r"pre-tokenizer.*adaptation\.new_words=0"):
        frequent_words(["a b"], words)
    words.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match=r"WordLevel.*adaptation\.new_words=0"):
        extend_tokenizer(words, [], 5)
    pretokenized = make("wordpiece", "encoder", 90, pretokenized=True)
    with pytest.raises(ValueError, match=r"WordPiece.*adaptation\.new_words=0"):
        extend_tokenizer(pretokenized, [], 5)


# ---- Embeddings

SIZES = {"vocab_size": 12, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16,
         "max_position_embeddings": 16}  # fmt: skip
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def models_of_all_stacks():
    torch.manual_seed(1)
    stack = {**SIZES, "num_hidden_layers": 1}
    both = {**SIZES, "encoder_layers": 1, "decoder_layers": 1, "decoder_start_token_id": 1}
    for tied in (True, False):
        yield VanillaDecoderForCausalLM(VanillaDecoderConfig(**stack, **IDS, tie_word_embeddings=tied))
        yield VanillaDecoderForCausalLM(
            VanillaDecoderConfig(**stack, **IDS, tie_word_embeddings=tied, lm_head_bias=True)
        )
        yield VanillaEncoderForMaskedLM(VanillaEncoderConfig(**stack, pad_token_id=0, tie_word_embeddings=tied))
        for shared in (True, False):
            yield VanillaTransformerForConditionalGeneration(
                VanillaTransformerConfig(
                    **both, **IDS, tie_word_embeddings=tied, share_encoder_decoder_embeddings=shared, lm_head_bias=True
                )
            )


def test_new_rows_are_the_mean_of_their_pieces_everywhere(tmp_path):
    pieces = {12: (3, 4), 13: (5, 5, 7), 14: (4,)}
    for model in models_of_all_stacks():
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        tied = model.config.tie_word_embeddings
        assert extend_embeddings(model, pieces) is model
        assert model.config.vocab_size == 15
        changed = 0
        for name, tensor in model.state_dict().items():
            if tensor.shape == before[name].shape:
                assert torch.equal(tensor, before[name]), name
                continue
            changed += 1
            assert tensor.shape[0] == 15, name
            assert torch.equal(tensor[:12], before[name]), name
            for token, parts in pieces.items():
                torch.testing.assert_close(tensor[token], before[name][list(parts)].mean(dim=0), msg=name)
        assert changed >= 2
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if not model.config.is_encoder_decoder:
            assert (head.weight is embedding.weight) == tied
        model.save_pretrained(tmp_path / "saved")
        loaded = type(model).from_pretrained(tmp_path / "saved")
        assert torch.equal(loaded.get_output_embeddings().weight, head.weight)
        ids = torch.tensor([[3, 13, 14]])
        assert torch.isfinite(model(input_ids=ids, labels=ids).loss)


def test_unused_rows_of_the_vocabulary_are_used_first():
    model = next(models_of_all_stacks())
    extend_embeddings(model, {10: (3, 4)})
    assert model.config.vocab_size == 12
    weight = model.get_input_embeddings().weight
    torch.testing.assert_close(weight[10], weight[[3, 4]].mean(dim=0))


@pytest.mark.parametrize("pieces", [{12: ()}, {12: (12,)}, {12: (3, 40)}, {12: (3,), 13: (12, 3)}])
def test_pieces_must_be_known_tokens(pieces):
    with pytest.raises(ValueError, match=r"1[23].* 0 to 11"):
        extend_embeddings(next(models_of_all_stacks()), pieces)


def test_new_tokens_are_unfolded_into_their_pieces():
    assert unfolded([1, 9, 2, 10], {9: (3, 4), 10: (5,)}) == [1, 3, 4, 2, 5]
