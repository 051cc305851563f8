"""Translation of many sentences: the result does not depend on batches and is in order."""

import pytest
import torch

from hf_vanilla_transformer import VanillaTransformerConfig, VanillaTransformerForConditionalGeneration
from hf_vanilla_transformer.generation import translate, translate_n_best
from hf_vanilla_transformer.tokenization import train_tokenizer

SENTENCES = ["a cab", "dab face gag had beg", "", "ice", "a bad cab dab face gag had", "   ", "jade beg"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(SENTENCES * 3, kind="bpe", vocab_size=60, template="seq2seq")


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    config = VanillaTransformerConfig.tiny(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, encoder_layers=1, decoder_layers=1,
        num_attention_heads=2, max_position_embeddings=24, initializer="normal", initializer_range=0.5,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
        decoder_start_token_id=tokenizer.bos_token_id,
    )  # fmt: skip
    return VanillaTransformerForConditionalGeneration(config)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_translations_do_not_depend_on_batches(model, tokenizer, num_beams):
    model.train()
    alone = [
        translate(model, tokenizer, [sentence], num_beams=num_beams, max_extra_tokens=3)[0] for sentence in SENTENCES
    ]
    done = []
    together = translate(
        model, tokenizer, SENTENCES, num_beams=num_beams, max_extra_tokens=3, tokens_per_batch=20, progress=done.append
    )
    assert together == alone
    assert together[2] == together[5] == ""
    assert sum(done) == 5 and len(done) > 1
    assert model.training


def test_sentences_and_options_that_do_not_fit_are_an_error(model, tokenizer):
    with pytest.raises(ValueError, match=r"Sentence 2 has .* positions for 24"):
        translate(model, tokenizer, ["a", "jade " * 30])
    with pytest.raises(ValueError, match=r"length_penalty_form.*'google'"):
        translate(model, tokenizer, ["a"], length_penalty_form="google")


def test_no_sentences_have_no_translations(model, tokenizer):
    assert translate(model, tokenizer, []) == []


@pytest.mark.parametrize("num_beams", [1, 3])
def test_scores_of_translations_that_were_cut_do_not_depend_on_batches(model, tokenizer, num_beams):
    options = {"n_best": 1, "num_beams": num_beams, "max_extra_tokens": 2, "scores": True}
    together = translate_n_best(model, tokenizer, SENTENCES, **options)
    alone = [translate_n_best(model, tokenizer, [sentence], **options)[0] for sentence in SENTENCES]
    assert [one[0].text for one in together] == [one[0].text for one in alone]
    expected = [one[0].log_probability for one in alone]
    assert [one[0].log_probability for one in together] == pytest.approx(expected, abs=1e-3)
