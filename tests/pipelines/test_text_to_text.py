"""Translation and its like: the answers are those of `generate`, however they are batched and split."""

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, NllbTokenizer, pipeline

from hf_vanilla_transformer.pipelines import SummarizationPipeline, split_sentences
from hf_vanilla_transformer.pipelines.languages import language_id, set_source_language

from ..models.small import translation_model
from ..tiny_folders import SENTENCES


@pytest.fixture(scope="module")
def translator(seq2seq):
    return pipeline("translation", model=str(seq2seq), device="cpu", num_beams=2, max_new_tokens=12)


@pytest.fixture(scope="module")
def reference(seq2seq):
    """Each text by itself through `generate`: every answer with the log probability that teacher forcing gives it."""
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


def test_one_text_and_many_in_batches(translator, reference):
    expected = [{"translation_text": reference(text)[0][0]} for text in SENTENCES]
    assert translator(SENTENCES[0]) == expected[:1]
    assert translator(SENTENCES) == expected
    assert translator(SENTENCES, batch_size=4) == expected
    assert translator(tuple(SENTENCES), batch_size=4) == expected
    assert [answer[0] for answer in translator(text for text in SENTENCES)] == expected
    assert translator([]) == []


def test_several_answers_with_their_log_probabilities(translator, reference):
    answers = translator(SENTENCES[:3], num_return_sequences=2, return_scores=True, batch_size=3)
    for text, found in zip(SENTENCES, answers):
        expected = reference(text, num_return_sequences=2)
        assert [answer["translation_text"] for answer in found] == [text for text, _ in expected]
        assert [answer["score"] for answer in found] == pytest.approx([score for _, score in expected], abs=1e-3)
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
    # A short one goes in as it is, unless somebody asks.
    short = "A dog. A man."
    assert translator(short) == [{"translation_text": reference(short)[0][0]}]
    halves = " ".join(reference(sentence)[0][0] for sentence, _ in split_sentences(short))
    assert translator(short, split="sentences") == [{"translation_text": halves}]


def test_what_is_too_long_is_refused_or_cut(translator):
    endless = "the river " * 60
    with pytest.raises(ValueError, match="tokens is too long, 64 are allowed"):
        translator(endless)
    with pytest.raises(ValueError, match="split='sentences'"):
        translator(" ".join(SENTENCES), split="never")
    assert translator(endless, truncation=True)[0].keys() == {"translation_text"}
    with pytest.raises(ValueError, match="6 are allowed"):
        translator(SENTENCES[0], max_source_tokens=6)


def test_an_empty_text_stays_empty(translator):
    assert translator(["", SENTENCES[0], " \n"], batch_size=3)[::2] == [{"translation_text": ""}] * 2
    assert translator("") == [{"translation_text": ""}]


def test_a_prefix_is_read_before_each_sentence(translator, reference):
    assert translator("A dog.", prefix=">>fra<< ") == [{"translation_text": reference(">>fra<< A dog.")[0][0]}]


def test_the_progress_bar_counts_texts(translator, capsys):
    translator(SENTENCES[:3], progress_bar=True)
    assert "3/3" in capsys.readouterr().err
    translator(SENTENCES[:3])
    assert not capsys.readouterr().err


def test_an_answer_has_its_own_limit_however_it_is_batched(seq2seq):
    """Without any other limit: 50 tokens more than the source."""
    pipe = pipeline("text2text-generation", model=str(seq2seq), device="cpu", do_sample=False)
    pipe.model.generation_config.max_new_tokens = pipe.model.generation_config.max_length = None
    pipe.model.generation_config.eos_token_id = 399  # it rambles on
    alone = pipe("A dog.")[0]["generated_text"]
    together = pipe(["A dog.", SENTENCES[0]], batch_size=2)
    assert together[0]["generated_text"] == alone
    (tensors,) = pipe("A dog.", return_tensors=True)
    source = len(pipe.tokenizer("A dog.")["input_ids"])
    assert len(tensors["generated_token_ids"][0]) - 1 == min(source + 50, 63)


def test_other_tasks_name_their_answers(seq2seq, tmp_path):
    pipe = pipeline("summarization", model=str(seq2seq), device="cpu", max_new_tokens=5, num_beams=1)
    assert isinstance(pipe, SummarizationPipeline)
    assert pipe("A dog.")[0].keys() == {"summary_text"}
    with pytest.raises(ValueError, match="is too long"):
        pipe(" ".join(SENTENCES))
    pipe.save_pretrained(tmp_path)
    assert not (tmp_path / "text_to_text.py").exists()
    again = pipeline("translation", model=str(tmp_path), device="cpu", max_new_tokens=5, num_beams=1)
    assert again("A dog.")[0]["translation_text"] == pipe("A dog.")[0]["summary_text"]


def test_faults_are_named(translator, causal_lm):
    with pytest.raises(ValueError, match="split='words' must be one of long, sentences, never"):
        translator("A dog.", split="words")
    with pytest.raises(ValueError, match="list of texts, but there is a int"):
        translator(["A dog.", 3])
    with pytest.raises(ValueError, match=r"src_lang='de', but .* has no languages.*prefix="):
        translator("A dog.", src_lang="de")
    with pytest.raises(ValueError, match=r"tgt_lang='fr', but .* has no languages"):
        translator("A dog.", tgt_lang="fr")
    from transformers import AutoModelForCausalLM

    model, tokenizer = AutoModelForCausalLM.from_pretrained(causal_lm), AutoTokenizer.from_pretrained(causal_lm)
    with pytest.raises(ValueError, match="is no encoder-decoder"):
        pipeline("translation", model=model, tokenizer=tokenizer, device="cpu")


@pytest.fixture
def multilingual():
    """A tokenizer of NLLB that spells, and a model of ours for it."""
    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzADT."]
    tokenizer = NllbTokenizer(vocab={letter: index for index, letter in enumerate(letters)}, merges=[])
    model = translation_model(
        vocab_size=len(tokenizer),
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    return model, tokenizer


def test_languages_frame_the_source_and_begin_the_translation(multilingual):
    model, tokenizer = multilingual
    pipe = pipeline("translation", model=model, tokenizer=tokenizer, device="cpu", num_beams=1, max_new_tokens=4)
    french, german = (tokenizer.convert_tokens_to_ids(code) for code in ("fra_Latn", "deu_Latn"))
    (answer,) = pipe("a dog", src_lang="fra_Latn", tgt_lang="deu_Latn", return_tensors=True)
    source = torch.tensor([[french, *tokenizer("a dog", add_special_tokens=False)["input_ids"], 2]])
    expected = model.generate(source, forced_bos_token_id=german, num_beams=1, max_new_tokens=4)[0]
    assert answer["translation_token_ids"][0].tolist() == expected.tolist()
    assert expected[1] == german
    # The next call is again in the language that the tokenizer came with.
    pipe("a dog", tgt_lang="deu_Latn")
    assert tokenizer.src_lang == "eng_Latn"
    with pytest.raises(ValueError, match="tgt_lang='xx' is no language of NllbTokenizer; it knows"):
        pipe("a dog", tgt_lang="xx")
    with pytest.raises(ValueError, match=r"src_lang='yy' is no language"):
        pipe("a dog", src_lang="yy")


def test_codes_of_tokenizers_that_keep_a_table():
    class Table:
        """As M2M100 has it: the code is `en`, the token `__en__`."""

        lang_code_to_id = {"en": 7, "fr": 8}
        src_lang = "en"

    assert language_id(Table(), "fr") == 8
    table = Table()
    set_source_language(table, "fr")
    assert table.src_lang == "fr"
