"""`hf-vanilla translate`: n-best lists, scores, attention images, prefixes, and split lines."""

import io
import json
import sys

import pytest

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.generation import translate_n_best
from hf_vanilla_transformer.pipelines.loading import load_model

from ..tiny_models import SENTENCES, tiny_folder


@pytest.fixture
def run_command(monkeypatch, capsys):
    """A function that runs a command on standard input and returns the lines that it prints; it keeps `errors`."""

    def run(text, *arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main([*arguments, "--device", "cpu"]) == 0
        printed = capsys.readouterr()
        run.errors = printed.err
        return printed.out.splitlines()

    return run


@pytest.fixture(scope="module")
def reference(seq2seq):
    model, tokenizer = load_model(str(seq2seq), "AutoModelForSeq2SeqLM", purpose="a test", device="cpu")

    def translate(sentences, n_best=1):
        options = {"num_beams": max(4, n_best), "scores": True}
        return translate_n_best(model, tokenizer, sentences, n_best=n_best, **options)

    return translate


def test_n_best_lists_have_scores(run_command, seq2seq, reference):
    lines = run_command(f"{SENTENCES[0]}\n{SENTENCES[1]}\n", "translate", str(seq2seq), "--n-best", "3", "--scores")
    expected = [
        (str(number), best.log_probability, best.text)
        for number, n_best in enumerate(reference(SENTENCES[:2], 3), 1)
        for best in n_best
    ]
    rows = [line.split("\t") for line in lines]
    assert [(number, text) for number, _, text in rows] == [(number, text) for number, _, text in expected]
    assert [float(score) for _, score, _ in rows] == pytest.approx([score for _, score, _ in expected], abs=1e-3)


def test_json_answers_and_attention_images(run_command, seq2seq, reference, tmp_path):
    image = tmp_path / "attention" / "out.png"
    text = f"{SENTENCES[0]}\n\n{SENTENCES[1]}\n"
    lines = run_command(text, "translate", str(seq2seq), "--json", "--attention", str(image))
    answers = [json.loads(line) for line in lines]
    assert [answer["input"] for answer in answers] == [SENTENCES[0], "", SENTENCES[1]]
    assert answers[0]["answers"][0]["text"] == reference(SENTENCES[:1])[0][0].text
    assert answers[1]["answers"] == [{"text": "", "score": 0.0}]
    assert sorted(path.name for path in image.parent.iterdir()) == ["out-3.png", "out.png"]
    assert f"{image}: the attention in 2 images" in run_command.errors


def test_each_sentence_of_a_line_gets_the_prefix(run_command, seq2seq, reference):
    (line,) = run_command("A dog. A man.\n", "translate", str(seq2seq), "--split-sentences", "--prefix", ">>fra<< ")
    expected = [n_best[0].text for n_best in reference([">>fra<< A dog.", ">>fra<< A man."])]
    assert line == " ".join(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n-best", "4", "--num-beams", "2"], "--n-best 4"),
        (["--tgt-lang", "fr"], "tgt_lang='fr'"),
        (["--src-lang", "en"], "src_lang='en'"),
    ],
)
def test_invalid_options_are_named(seq2seq, arguments, message, capsys, tmp_path):
    (tmp_path / "text").write_text("A dog.\n")
    given = ["translate", str(seq2seq), "--input", str(tmp_path / "text"), "--device", "cpu"]
    assert main([*given, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_error_for_another_kind_of_model_names_its_command(causal_lm, capsys, tmp_path):
    (tmp_path / "text").write_text("A dog.\n")
    assert main(["translate", str(causal_lm), "--input", str(tmp_path / "text"), "--device", "cpu"]) == 2
    assert "hf-vanilla generate" in capsys.readouterr().err


def test_memory_for_no_sentence_is_an_error(tmp_path, capsys):
    """Too little for one sentence, whose beams and tokens are many; nothing is translated."""
    folder = tiny_folder(tmp_path / "model", "seq2seq", max_position_embeddings=4096)
    (tmp_path / "in.txt").write_text("a book", encoding="utf-8")
    arguments = ["translate", str(folder), "--input", str(tmp_path / "in.txt"), "--memory-per-batch", "1"]
    assert main([*arguments, "--max-extra-tokens", "4000", "--num-beams", "4"]) == 2
    assert "memory_per_batch=1048576 bytes is too little" in capsys.readouterr().err
    assert main([*arguments, "--max-extra-tokens", "4", "--num-beams", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
