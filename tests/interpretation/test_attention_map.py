"""Attention maps: rows sum to 1, tokens are grouped into words, the model stays unchanged."""

import json

import pytest
import torch
from transformers import ByT5Tokenizer, MarianTokenizer, MBartTokenizer, NllbTokenizer

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderForMaskedLM,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
)
from hf_vanilla_transformer.interpretation import cross_attention, self_attention
from hf_vanilla_transformer.interpretation.token_words import split_words, tokens_as_words
from hf_vanilla_transformer.tokenization import train_tokenizer

SOURCE = "The European economic area."
TARGET = "La zone économique européenne."
TEXTS = [SOURCE, TARGET, "The dog sees the area.", "Le chien voit la zone."] * 5
SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}


def tokenizer_for(template):
    return train_tokenizer(iter(TEXTS), kind="byte_bpe", vocab_size=300, template=template)


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_for("seq2seq")


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    config = VanillaTransformerConfig(
        vocab_size=len(tokenizer),
        encoder_layers=2,
        decoder_layers=3,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.bos_token_id,
        **SMALL,
    )
    return VanillaTransformerForConditionalGeneration(config)


def test_a_sentence_is_split_into_words():
    assert [word for word, _, _ in split_words("L'homme dort, vraiment.")] == ["L'homme", "dort", ",", "vraiment", "."]
    assert [word for word, _, _ in split_words("vingt-deux")] == ["vingt-deux"]


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "unigram", "wordpiece"])
def test_tokens_are_grouped_into_words(kind):
    vocab_size = 300 if kind == "byte_bpe" else 80
    tokenizer = train_tokenizer(iter(TEXTS), kind=kind, vocab_size=vocab_size, template="seq2seq")
    ids, words = tokens_as_words(tokenizer, TARGET)
    # If a tokenizer learns "e." as one piece, the word and the full stop become one.
    assert "|".join(words.words).replace("|.", ".") == "La|zone|économique|européenne.|</s>"
    assert len(words.word_of_token) == len(ids)
    assert list(words.word_of_token) == sorted(words.word_of_token)
    assert set(words.word_of_token) == set(range(len(words.words)))


def test_cross_attention_is_a_distribution_over_source_words(model, tokenizer):
    attention = cross_attention(model, tokenizer, SOURCE, TARGET)
    assert attention.source_tokens == ("The", "European", "economic", "area", ".", "</s>")
    assert attention.target_tokens == ("La", "zone", "économique", "européenne", ".", "</s>")
    assert attention.weights.shape == (3, 2, 6, 6)
    torch.testing.assert_close(attention.weights.sum(-1), torch.ones(3, 2, 6))
    torch.testing.assert_close(attention.mean().sum(-1), torch.ones(6))


def test_cross_attention_equals_that_of_the_model(model, tokenizer):
    attention = cross_attention(model, tokenizer, SOURCE, TARGET)
    inputs = tokenizer(SOURCE, return_tensors="pt")
    labels = tokenizer(TARGET, return_tensors="pt")["input_ids"]
    model.eval()
    model.set_attn_implementation("eager")
    weights = model(**inputs, labels=labels, output_attentions=True).cross_attentions
    model.set_attn_implementation("sdpa")
    # The end token is one word, so its row and column are not summed.
    torch.testing.assert_close(attention.weights[:, :, -1, -1], torch.cat(weights)[:, :, -1, -1].detach())


def test_without_a_target_the_model_translates(model, tokenizer):
    attention = cross_attention(model, tokenizer, SOURCE, max_new_tokens=5, min_new_tokens=4)
    assert attention.weights.shape[2] == len(attention.target_tokens)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_unchanged(model, tokenizer, training):
    model.train(training)
    model.set_attn_implementation("sdpa")
    first = cross_attention(model, tokenizer, SOURCE, TARGET)
    assert model.training is training
    for part in (model, model.get_encoder(), model.get_decoder()):
        assert part.config._attn_implementation == "sdpa"
    torch.testing.assert_close(first.weights, cross_attention(model, tokenizer, SOURCE, TARGET).weights)


def test_the_model_stays_unchanged_after_an_error(model, tokenizer, monkeypatch):
    model.set_attn_implementation("sdpa")
    monkeypatch.setattr(model, "forward", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cross_attention(model, tokenizer, SOURCE, TARGET)
    assert model.config._attn_implementation == "sdpa"


def test_self_attention_of_each_stack(model, tokenizer):
    attention = self_attention(model, tokenizer, SOURCE)
    assert attention.weights.shape == (2, 2, 6, 6)
    for template, config_class, model_class in (
        ("encoder", VanillaEncoderConfig, VanillaEncoderForMaskedLM),
        ("decoder", VanillaDecoderConfig, VanillaDecoderForCausalLM),
    ):
        own = tokenizer_for(template)
        config = config_class(
            vocab_size=len(own), num_hidden_layers=2, pad_token_id=0, bos_token_id=None, eos_token_id=None, **SMALL
        )
        attention = self_attention(model_class(config), own, SOURCE)
        words = len(attention.source_tokens)
        assert attention.weights.shape == (2, 2, words, words)
        torch.testing.assert_close(attention.weights.sum(-1), torch.ones(2, 2, words))
        if template == "decoder":
            assert torch.equal(attention.weights, attention.weights.tril()), "a word attends to a later word"


def spelling_nllb(**languages):
    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzADT."]
    return NllbTokenizer(vocab={letter: index for index, letter in enumerate(letters)}, merges=[], **languages)


def spelling_mbart(**languages):
    codes = list(MBartTokenizer().lang_code_to_id)
    usual = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzADT.", *codes, "<mask>"]
    return MBartTokenizer(vocab=[(piece, -1.0) for piece in usual], **languages)


def marian(folder):
    """A tokenizer of Marian whose target side has another vocabulary than its source side."""
    sentencepiece = pytest.importorskip("sentencepiece")
    vocabulary = {"</s>": 0, "<unk>": 1}
    for name, size, texts in (("source", 40, TEXTS[::2]), ("target", 60, TEXTS[1::2])):
        (folder / "text").write_text("\n".join(texts), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "text"),
            model_prefix=str(folder / name),
            vocab_size=size,
            model_type="bpe",
            minloglevel=2,
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        for line in (folder / f"{name}.vocab").read_text(encoding="utf-8").splitlines():
            vocabulary.setdefault(line.split("\t")[0], len(vocabulary))
    vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    return MarianTokenizer(*(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")))


def translator(tokenizer, **tokens):
    torch.manual_seed(0)
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    config = VanillaTransformerConfig(
        vocab_size=len(tokenizer), encoder_layers=1, decoder_layers=2, **{**SMALL, **ids, **tokens}
    )
    return VanillaTransformerForConditionalGeneration(config).eval()


def weights_of(model, source, decoder_input):
    """The cross-attention of the model itself."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model(
            input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([decoder_input]), output_attentions=True
        )
    model.set_attn_implementation("sdpa")
    return torch.cat(outputs.cross_attentions)


def test_the_language_token_of_the_target_is_generated_first():
    tokenizer = spelling_nllb(src_lang="fra_Latn", tgt_lang="deu_Latn")
    model = translator(tokenizer, decoder_start_token_id=2)
    attention = cross_attention(model, tokenizer, "a cat", "the dog.")
    assert attention.source_tokens == ("fra_Latn", "a", "cat", "</s>")
    assert attention.target_tokens == ("deu_Latn", "the", "dog", ".", "</s>")
    source = tokenizer("a cat")["input_ids"]
    target = tokenizer(text_target="the dog.")["input_ids"]
    expected = weights_of(model, source, [2, *target[:-1]])
    # Special tokens are one word each, so their rows and columns are not summed.
    torch.testing.assert_close(attention.weights[:, :, [0, -1]][..., [0, -1]], expected[:, :, [0, -1]][..., [0, -1]])


def test_the_models_own_translation_is_in_the_target_language(monkeypatch):
    tokenizer = spelling_nllb(src_lang="fra_Latn", tgt_lang="deu_Latn")
    model = translator(tokenizer, decoder_start_token_id=2)
    asked = {}

    def generate(**options):
        asked.update(options)
        return torch.tensor([[2, *tokenizer(text_target="a dog.")["input_ids"]]])

    monkeypatch.setattr(model, "generate", generate)
    attention = cross_attention(model, tokenizer, "a cat")
    assert asked["forced_bos_token_id"] == tokenizer.convert_tokens_to_ids("deu_Latn")
    assert attention.target_tokens == ("deu_Latn", "a", "dog", ".", "</s>")


def test_the_decoder_starts_with_a_language_token_at_the_end_of_the_target():
    tokenizer = spelling_mbart(src_lang="en_XX", tgt_lang="ro_RO")
    model = translator(tokenizer, decoder_start_token_id=None)
    attention = cross_attention(model, tokenizer, "a cat", "the dog.")
    assert attention.source_tokens == ("a", "cat", "</s>", "en_XX")
    assert attention.target_tokens == ("the", "dog", ".", "</s>")
    romanian = tokenizer.convert_tokens_to_ids("ro_RO")
    target = tokenizer("the dog.", add_special_tokens=False)["input_ids"]
    expected = weights_of(model, tokenizer("a cat")["input_ids"], [romanian, *target])
    torch.testing.assert_close(attention.weights[:, :, -1, -1], expected[:, :, -1, -1])


def test_marians_target_is_tokenized_as_a_target(tmp_path):
    tokenizer = marian(tmp_path)
    target = tokenizer(text_target=TARGET)["input_ids"]
    assert target != tokenizer(TARGET)["input_ids"]
    model = translator(tokenizer, decoder_start_token_id=tokenizer.pad_token_id)
    attention = cross_attention(model, tokenizer, SOURCE, TARGET)
    assert attention.source_tokens == ("The", "European", "economic", "area", ".", "</s>")
    assert attention.target_tokens == ("La", "zone", "économique", "européenne", ".", "</s>")
    expected = weights_of(model, tokenizer(SOURCE)["input_ids"], [tokenizer.pad_token_id, *target[:-1]])
    torch.testing.assert_close(attention.weights[:, :, -1, -1], expected[:, :, -1, -1])


def test_missing_settings_of_tokenizer_and_model_are_an_error():
    nllb = spelling_nllb()
    with pytest.raises(ValueError, match="tgt_lang is None"):
        cross_attention(translator(nllb, decoder_start_token_id=2), nllb, "a cat", "the dog.")
    nllb.tgt_lang = "deu_Latn"
    with pytest.raises(ValueError, match="decoder_start_token_id is None"):
        cross_attention(translator(nllb, decoder_start_token_id=None), nllb, "a cat", "the dog.")
    with pytest.raises(ValueError, match=r"ByT5Tokenizer .* offsets"):
        tokens_as_words(ByT5Tokenizer(), "a cat")


def test_impossible_requests_are_an_error(model, tokenizer):
    own = tokenizer_for("decoder")
    decoder = VanillaDecoderForCausalLM(VanillaDecoderConfig(vocab_size=len(own), num_hidden_layers=1, **SMALL))
    with pytest.raises(ValueError, match="VanillaDecoderForCausalLM has no cross-attention"):
        cross_attention(decoder, own, SOURCE, TARGET)
    with pytest.raises(ValueError, match="stack='decoder'"):
        self_attention(model, tokenizer, SOURCE, stack="decoder")
    with pytest.raises(ValueError, match="stack='encoder'"):
        self_attention(decoder, own, SOURCE, stack="encoder")
    with pytest.raises(ValueError, match="text=''"):
        cross_attention(model, tokenizer, "", TARGET)
    with pytest.raises(ValueError, match="layers 0 to 2"):
        cross_attention(model, tokenizer, SOURCE, TARGET).mean([3])
