"""What the page asks of the three kinds of models."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, NllbTokenizer

from hf_vanilla_transformer.web import ModelOnPage

from ..models.small import translation_model
from ..tiny_folders import SENTENCES


def test_translations_and_both_attentions(seq2seq):
    shown = ModelOnPage.load(str(seq2seq), device="cpu")
    assert shown.kind == "translation" and shown.name == seq2seq.name
    found = shown.translations(SENTENCES[0], 3)
    assert len(found) == 3 and all(answer.log_probability < 0 for answer in found)
    maps = shown.attention(SENTENCES[0], "Le chien.")
    assert list(maps) == ["from the translation to the source", "within the source"]
    across = maps["from the translation to the source"]
    assert across.weights.shape == (2, 2, len(across.target_tokens), len(across.source_tokens))
    assert across.target_tokens[:3] == ("Le", "chien", ".")
    assert list(shown.attention(SENTENCES[0], "")) == ["within the source"]


def test_masked_words(masked_lm):
    shown = ModelOnPage.load(str(masked_lm), device="cpu")
    assert shown.kind == "masked words"
    first, second = shown.masked_words("The [MASK] man [MASK] a book.", 5)
    assert len(first) == len(second) == 5 and first[0][1] >= first[4][1] > 0
    assert list(shown.attention("The old man.")) == ["between the words"]
    with pytest.raises(ValueError, match=r"There is no \[MASK\] in the text"):
        shown.masked_words("The old man.", 5)


def test_next_tokens_and_what_follows(causal_lm):
    shown = ModelOnPage.load(str(causal_lm), device="cpu")
    assert shown.kind == "next token"
    (word, probability), *_ = shown.next_tokens("The old man", 400)
    assert probability == max(p for _, p in shown.next_tokens("The old man", 10))
    assert sum(p for _, p in shown.next_tokens("The old man", 10_000)) == pytest.approx(1.0, abs=1e-4)
    assert shown.continuation("The old man", 1) == "The old man" + word
    with torch.no_grad():
        logits = shown.model(**shown.tokenizer("The old man", return_tensors="pt")).logits[0, -1]
    assert probability == pytest.approx(logits.softmax(-1).max().item(), abs=1e-5)
    with pytest.raises(ValueError, match="the model has room for 64"):
        shown.continuation("The old man", 64)


def test_a_model_without_words_is_refused(masked_lm):
    model, tokenizer = AutoModel.from_pretrained(masked_lm), AutoTokenizer.from_pretrained(masked_lm)
    with pytest.raises(ValueError, match="has no words to show"):
        ModelOnPage(model, tokenizer)


def test_one_of_many_languages_must_be_named(seq2seq):
    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzADT."]
    tokenizer = NllbTokenizer(vocab={letter: index for index, letter in enumerate(letters)}, merges=[])
    model = translation_model(
        vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2
    )
    with pytest.raises(ValueError, match="say into which one the page translates"):
        ModelOnPage(model, tokenizer)
    shown = ModelOnPage(model, tokenizer, source_language="fra_Latn", target_language="deu_Latn")
    maps = shown.attention("a dog", "the man")
    assert maps["from the translation to the source"].target_tokens == ("deu_Latn", "the", "man", "</s>")
    assert maps["within the source"].source_tokens == ("fra_Latn", "a", "dog", "</s>")
    assert len(shown.translations("a dog", 2)) == 2
    with pytest.raises(ValueError, match="has no languages"):
        ModelOnPage.load(str(seq2seq), device="cpu", target_language="deu_Latn")
