"""Text-to-text pipelines return the answers of `generate`, whatever the batches and splits."""

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, NllbTokenizer, pipeline

from hf_vanilla_transformer.pipelines import SummarizationPipeline, split_sentences
from hf_vanilla_transformer.pipelines.languages import language_id, set_source_language

from ..tiny_models import SENTENCES, tiny_model


@pytest.fixture(scope="module")
def translator(seq2seq):
    return pipeline("translation", model=str(seq2seq), device="cpu", num_beams=2, max_new_tokens=12)


@pytest.fixture(scope="module")
def reference(seq2seq):
    """A function that generates for one text, and returns each answer with its log-probability by teacher forcing."""
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(seq2seq), AutoTokenizer.from_pretrained(seq2seq)

    def translate(text, **options):
        options = {"num_beams": 2, "max_new_tokens": 12} | options
        inputs = tokenizer(text, return_tensors="pt")
        answers = []
        for row in model.generate(**inputs, **options):
            labels = row[1:]
            if tokenizer.eos_token_id in labels:
                labels = labels[: labels.tolist().index(tokenizer.eos_token_id) + 1]
            with torch.no_grad():
                logits = model(**inputs, decoder_input_ids=row[None, : len(labels)]).logits[0]
            score = logits.log_softmax(-1).gather(1, labels[:, None]).sum().item()
            answers.append((tokenizer.decode(row, skip_special_tokens=True), score))
        return answers

    return translate


def test_one_text_and_batches_of_texts_are_translated(translator, reference):
    expected = [{"translation_text": reference(text)[0][0]} for text in SENTENCES]
    assert translator(SENTENCES[0]) == expected[:1]
    assert translator(SENTENCES) == expected
    assert translator(SENTENCES, batch_size=4) == expected
    assert translator(tuple(SENTENCES), batch_size=4) == expected
    assert [answer[0] for answer in translator(text for text in SENTENCES)] == expected
    assert translator([]) == []


def test_several_answers_have_log_probabilities(translator, reference):
    answers = translator(SENTENCES[:3], num_return_sequences=2, return_scores=True, batch_size=3)
    for text, n_best in zip(SENTENCES, answers):
        expected = reference(text, num_return_sequences=2)
        assert [answer["translation_text"] for answer in n_best] == [text for text, _ in expected]
        assert [answer["score"] for answer in n_best] == pytest.approx([score for _, score in expected], abs=1e-3)
    (greedy,) = translator(SENTENCES[0], num_beams=1, return_scores=True)
    ((text, score),) = reference(SENTENCES[0], num_beams=1)
    assert greedy["translation_text"] == text and greedy["score"] == pytest.approx(score, abs=1e-3)


def test_a_long_text_is_split_and_joined_again(translator, reference):
    text = " ".join(SENTENCES[:3]) + "\n\n" + " ".join(SENTENCES[3:])
    parts = [reference(sentence)[0][0] for sentence in SENTENCES]
    expected = " ".join(parts[:3]) + "\n\n" + " ".join(parts[3:])
    for options in ({"batch_size": 1}, {"batch_size": 4}, {"split": "sentences"}):
        assert translator(text, **options) == [{"translation_text": expected}], options
        assert translator([text, SENTENCES[1]], **options)[1] == {"translation_text": parts[1]}, options
    # By default, a short text is not split.
    short = "A dog. A man."
    assert translator(short) == [{"translation_text": reference(short)[0][0]}]
    halves = " ".join(reference(sentence)[0][0] for sentence, _ in split_sentences(short))
    assert translator(short, split="sentences") == [{"translation_text": halves}]


def test_a_text_that_is_too_long_is_rejected_or_truncated(translator):
    endless = "the river " * 60
    with pytest.raises(ValueError, match=r"\b64\b.*'the river"):
        translator(endless)
    with pytest.raises(ValueError, match="split='sentences'"):
        translator(" ".join(SENTENCES), split="never")
    assert translator(endless, truncation=True)[0].keys() == {"translation_text"}
    with pytest.raises(ValueError, match=r"\b6\b.*truncation="):
        translator(SENTENCES[0], max_source_tokens=6)


def test_an_empty_text_stays_empty(translator):
    assert translator(["", SENTENCES[0], " \n"], batch_size=3)[::2] == [{"translation_text": ""}] * 2
    assert translator("") == [{"translation_text": ""}]


def test_the_prefix_is_put_before_each_sentence(translator, reference):
    assert translator("A dog.", prefix=">>fra<< ") == [{"translation_text": reference(">>fra<< A dog.")[0][0]}]


def test_the_progress_bar_counts_texts(translator, capsys):
    translator(SENTENCES[:3], progress_bar=True)
    assert "3/3" in capsys.readouterr().err
    translator(SENTENCES[:3])
    assert not capsys.readouterr().err


def test_the_length_limit_of_an_answer_does_not_depend_on_the_batch(seq2seq):
    """By default, an answer may have 50 tokens more than its source."""
    pipe = pipeline("text2text-generation", model=str(seq2seq), device="cpu", do_sample=False)
    pipe.model.generation_config.max_new_tokens = pipe.model.generation_config.max_length = None
    pipe.model.generation_config.eos_token_id = 399  # so that it does not stop early
    alone = pipe("A dog.")[0]["generated_text"]
    together = pipe(["A dog.", SENTENCES[0]], batch_size=2)
    assert together[0]["generated_text"] == alone
    (tensors,) = pipe("A dog.", return_tensors=True)
    source = len(pipe.tokenizer("A dog.")["input_ids"])
    assert len(tensors["generated_token_ids"][0]) - 1 == min(source + 50, 63)


def test_the_key_of_an_answer_depends_on_the_task(seq2seq, tmp_path):
    pipe = pipeline("summarization", model=str(seq2seq), device="cpu", max_new_tokens=5, num_beams=1)
    assert isinstance(pipe, SummarizationPipeline)
    assert pipe("A dog.")[0].keys() == {"summary_text"}
    with pytest.raises(ValueError, match=r"\b64\b"):
        pipe(" ".join(SENTENCES))
    pipe.save_pretrained(tmp_path)
    assert not (tmp_path / "text_to_text.py").exists()
    again = pipeline("translation", model=str(tmp_path), device="cpu", max_new_tokens=5, num_beams=1)
    assert again("A dog.")[0]["translation_text"] == pipe("A dog.")[0]["summary_text"]


def test_invalid_arguments_are_named(translator, causal_lm):
    with pytest.raises(ValueError, match=r"split .*long, sentences, never.*'words'"):
        translator("A dog.", split="words")
    with pytest.raises(ValueError, match=r"\bint\b"):
        translator(["A dog.", 3])
    with pytest.raises(ValueError, match=r"src_lang='de'.*prefix="):
        translator("A dog.", src_lang="de")
    with pytest.raises(ValueError, match=r"tgt_lang='fr'.*prefix="):
        translator("A dog.", tgt_lang="fr")
    from transformers import AutoModelForCausalLM

    model, tokenizer = AutoModelForCausalLM.from_pretrained(causal_lm), AutoTokenizer.from_pretrained(causal_lm)
    with pytest.raises(ValueError, match=r"VanillaDecoderForCausalLM.*'translation'"):
        pipeline("translation", model=model, tokenizer=tokenizer, device="cpu")


@pytest.fixture
def multilingual():
    """A tokenizer of NLLB with letters as tokens, and a model of ours for it."""
    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzADT."]
    tokenizer = NllbTokenizer(vocab={letter: index for index, letter in enumerate(letters)}, merges=[])
    model = tiny_model(
        "seq2seq",
        vocab_size=len(tokenizer),
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    return model, tokenizer


def test_the_languages_determine_the_tokens_of_the_source_and_of_the_decoder(multilingual):
    model, tokenizer = multilingual
    pipe = pipeline("translation", model=model, tokenizer=tokenizer, device="cpu", num_beams=1, max_new_tokens=4)
    french, german = (tokenizer.convert_tokens_to_ids(code) for code in ("fra_Latn", "deu_Latn"))
    (answer,) = pipe("a dog", src_lang="fra_Latn", tgt_lang="deu_Latn", return_tensors=True)
    source = torch.tensor([[french, *tokenizer("a dog", add_special_tokens=False)["input_ids"], 2]])
    expected = model.generate(source, forced_bos_token_id=german, num_beams=1, max_new_tokens=4)[0]
    assert answer["translation_token_ids"][0].tolist() == expected.tolist()
    assert expected[1] == german
    # The next call uses the tokenizer's default source language again.
    pipe("a dog", tgt_lang="deu_Latn")
    assert tokenizer.src_lang == "eng_Latn"
    with pytest.raises(ValueError, match=r"tgt_lang='xx'.*NllbTokenizer"):
        pipe("a dog", tgt_lang="xx")
    with pytest.raises(ValueError, match=r"src_lang='yy'"):
        pipe("a dog", src_lang="yy")


def test_language_codes_can_come_from_a_table_of_the_tokenizer():
    class Table:
        """Like the tokenizer of M2M100, whose token for the code `en` is `__en__`."""

        lang_code_to_id = {"en": 7, "fr": 8}
        src_lang = "en"

    assert language_id(Table(), "fr") == 8
    table = Table()
    set_source_language(table, "fr")
    assert table.src_lang == "fr"
