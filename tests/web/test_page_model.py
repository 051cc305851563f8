"""The predictions and attention maps of a page, for its three tasks."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, NllbTokenizer

from hf_vanilla_transformer.web import PageModel

from ..tiny_models import SENTENCES, tiny_model


def test_translations_and_both_attentions(seq2seq):
    page_model = PageModel.load(str(seq2seq), device="cpu")
    assert page_model.task == "translation" and page_model.name == seq2seq.name
    translations = page_model.translations(SENTENCES[0], 3)
    assert len(translations) == 3 and all(one.log_probability < 0 for one in translations)
    maps = page_model.attention(SENTENCES[0], "Le chien.")
    assert list(maps) == ["cross-attention", "self-attention"]
    across = maps["cross-attention"]
    assert across.weights.shape == (2, 2, len(across.target_tokens), len(across.source_tokens))
    assert across.target_tokens[:3] == ("Le", "chien", ".")
    assert list(page_model.attention(SENTENCES[0], "")) == ["self-attention"]


def test_masked_tokens(masked_lm):
    page_model = PageModel.load(str(masked_lm), device="cpu")
    assert page_model.task == "fill-mask"
    first, second = page_model.masked_tokens("The [MASK] man [MASK] a book.", 5)
    assert len(first) == len(second) == 5 and first[0][1] >= first[4][1] > 0
    assert list(page_model.attention("The old man.")) == ["self-attention"]
    with pytest.raises(ValueError, match=r"no \[MASK\]"):
        page_model.masked_tokens("The old man.", 5)


def test_next_tokens_and_continuations(causal_lm):
    page_model = PageModel.load(str(causal_lm), device="cpu")
    assert page_model.task == "text-generation"
    (token, probability), *_ = page_model.next_tokens("The old man", 400)
    assert probability == max(p for _, p in page_model.next_tokens("The old man", 10))
    assert sum(p for _, p in page_model.next_tokens("The old man", 10_000)) == pytest.approx(1.0, abs=1e-4)
    assert page_model.continuation("The old man", 1) == "The old man" + token
    with torch.no_grad():
        logits = page_model.model(**page_model.tokenizer("The old man", return_tensors="pt")).logits[0, -1]
    assert probability == pytest.approx(logits.softmax(-1).max().item(), abs=1e-5)
    with pytest.raises(ValueError, match=r"\b64 positions"):
        page_model.continuation("The old man", 64)


def test_a_model_without_a_language_modeling_head_is_rejected(masked_lm):
    model, tokenizer = AutoModel.from_pretrained(masked_lm), AutoTokenizer.from_pretrained(masked_lm)
    with pytest.raises(ValueError, match="VanillaEncoderModel"):
        PageModel(model, tokenizer)


def test_a_multilingual_model_needs_a_target_language(seq2seq):
    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzADT."]
    tokenizer = NllbTokenizer(vocab={letter: index for index, letter in enumerate(letters)}, merges=[])
    model = tiny_model(
        "seq2seq", vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2
    )
    with pytest.raises(ValueError, match=r"tgt_lang="):
        PageModel(model, tokenizer)
    page_model = PageModel(model, tokenizer, src_lang="fra_Latn", tgt_lang="deu_Latn")
    maps = page_model.attention("a dog", "the man")
    assert maps["cross-attention"].target_tokens == ("deu_Latn", "the", "man", "</s>")
    assert maps["self-attention"].source_tokens == ("fra_Latn", "a", "dog", "</s>")
    assert len(page_model.translations("a dog", 2)) == 2
    with pytest.raises(ValueError, match=r"tgt_lang='deu_Latn'"):
        PageModel.load(str(seq2seq), device="cpu", tgt_lang="deu_Latn")
