"""What a user meets when something is wrong: one line, an exit status, and no traceback."""

import gzip
import io
import itertools
import math
import os
import random
import shutil
import subprocess
import sys
import threading

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.commands import classify, translate
from hf_vanilla_transformer.commands.fill import _best_combinations
from hf_vanilla_transformer.commands.glibc_allocator import OPT_OUT
from hf_vanilla_transformer.commands.lines import windows_of_lines
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.interpretation.token_words import split_words
from hf_vanilla_transformer.pipelines.loading import load_model
from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe

from ..tiny_models import tiny_folder

LONG = "the old man " * 60


def run(capsys, monkeypatch, text, *arguments):
    """The exit status, the printed lines, and the error output of a command that reads `text`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    status = main([*map(str, arguments), "--device", "cpu"])
    printed = capsys.readouterr()
    return status, printed.out.splitlines(), printed.err


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (KeyboardInterrupt(), 130, ""),
        (RuntimeError("shapes differ\nsecond line"), 1, "unexpected RuntimeError: shapes differ (HF_VANILLA_DEBUG=1"),
        (MemoryError(), 1, "not enough memory"),
        (ImportError("sentencepiece"), 2, "sentencepiece"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_every_error_is_one_line(error, status, shown, capsys, monkeypatch):
    def fail(arguments):
        raise error

    monkeypatch.setattr(translate, "run", fail)
    assert main(["translate", "model"]) == status
    printed = capsys.readouterr().err
    assert shown in printed and "Traceback" not in printed and printed.count("\n") == bool(shown)
    monkeypatch.setenv("HF_VANILLA_DEBUG", "1")
    with pytest.raises(type(error)):
        main(["translate", "model"])


@pytest.mark.skipif(os.name == "nt", reason="descriptors are closed by a POSIX shell")
@pytest.mark.parametrize(
    "redirection",
    [pytest.param("<&-", marks=pytest.mark.slow), pytest.param(">&-", marks=pytest.mark.slow), "> /dev/full"],
)
def test_closed_or_full_streams_end_in_one_line(redirection, tmp_path, seq2seq):
    command = f"{sys.executable} -m hf_vanilla_transformer.commands.main translate {seq2seq} --device cpu"
    # Without the restart for the allocator, which takes half of the time.
    environment = os.environ | {OPT_OUT: "1"}
    done = subprocess.run(
        f"echo a man | {command} {redirection}", shell=True, capture_output=True, text=True, env=environment
    )
    assert done.returncode in (1, 2)
    assert done.stderr.count("hf-vanilla translate:") == 1 and "Traceback" not in done.stderr


def test_output_is_utf_8_whatever_the_encoding_of_the_pipe():
    code = "from hf_vanilla_transformer.commands.main import main; main(['translate', 'nowhere/é/한']); print('한')"
    encoding = {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ | encoding)
    assert done.stdout.decode("utf-8").strip() == "한" and "é/한" in done.stderr.decode("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("translate", "--num-beams", "0"),
        ("translate", "--max-extra-tokens", "-100"),
        ("translate", "--tokens-per-batch", "0"),
        ("classify", "--batch-size", "0"),
        ("fill", "--batch-size", "-1"),
        ("generate", "--num-beams", "0"),
        ("generate", "--top-k", "0"),
    ],
)
def test_numbers_out_of_range_are_named(arguments, capsys):
    command, option, value = arguments
    with pytest.raises(SystemExit) as ended:
        main([command, "model", option, value])
    assert ended.value.code == 2 and f"{option}: must be at least" in capsys.readouterr().err


def test_input_may_be_compressed_a_pipe_or_marked(tmp_path, monkeypatch):
    text = "\ufeffone\ntwo\n".encode()
    (tmp_path / "t.gz").write_bytes(gzip.compress(text))
    assert list(windows_of_lines(str(tmp_path / "t.gz"))) == [["one", "two"]]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert list(windows_of_lines("-")) == [["one", "two"]]
    (tmp_path / "cut.gz").write_bytes(gzip.compress(text)[:-6])
    with pytest.raises(ValueError, match=r"cut\.gz"):
        windows_of_lines(str(tmp_path / "cut.gz"))
    with pytest.raises(ValueError, match="folder"):
        windows_of_lines(str(tmp_path))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(text))
        writer.start()
        assert list(windows_of_lines(str(tmp_path / "pipe"))) == [["one", "two"]]
        writer.join()


def test_a_line_that_is_too_long_does_not_stop_the_others(seq2seq, masked_lm, causal_lm, capsys, monkeypatch):
    status, lines, errors = run(capsys, monkeypatch, f"{LONG}\na man\n", "translate", seq2seq)
    assert status == 0 and len(lines) == 2 and lines[0] == "" and "can read (line 1): not translated" in errors
    status, lines, errors = run(capsys, monkeypatch, f"a ___\n{LONG} ___\n", "fill", masked_lm)
    assert status == 0 and len(lines) == 2 and "(line 2)" in errors
    status, lines, errors = run(
        capsys, monkeypatch, f"\n{LONG}\n", "generate", causal_lm, "--only-new", "--max-new-tokens", 3
    )
    assert status == 0 and len(lines) == 2 and lines[1] == "" and "(line 2)" in errors


def test_words_keep_their_combining_marks():
    assert [word for word, _, _ in split_words("यह किताब है।")] == ["यह", "किताब", "है", "।"]
    assert [word for word, _, _ in split_words("ที่นี่ ดี")] == ["ที่นี่", "ดี"]
    assert [word for word, _, _ in split_words("l'homme dort.")] == ["l'homme", "dort", "."]


def test_a_tagger_reads_all_of_a_long_line_and_takes_words_as_given(token_classifier, capsys, monkeypatch):
    text = f"{LONG}\na.b c-d,e\n"
    status, lines, errors = run(capsys, monkeypatch, text, "classify", token_classifier, "--words")
    assert status == 0 and not errors.count("tokens")
    assert [part.rsplit("/", 1)[0] for part in lines[0].split()] == LONG.split()
    assert [part.rsplit("/", 1)[0] for part in lines[1].split()] == ["a.b", "c-d,e"]


def test_several_labels_and_numbers(tmp_path, capsys, monkeypatch):
    names = {0: "a", 1: "b", 2: "c"}
    model = vanilla.VanillaEncoderForSequenceClassification
    several = tiny_folder(
        tmp_path / "several", model, num_labels=3, id2label=names, problem_type="multi_label_classification"
    )
    status, lines, _ = run(capsys, monkeypatch, "a man\n\n", "classify", several, "--n-best", 3, "--scores")
    scores = {label: float(score) for _, score, label in (line.split("\t") for line in lines if line.count("\t") == 2)}
    for threshold in (0.0, sorted(scores[name] for name in "abc")[1], 1.0):
        monkeypatch.setattr(classify, "_THRESHOLD", threshold - 1e-4)
        expected = sorted((name for name in "abc" if scores[name] >= threshold), key=lambda name: -scores[name])
        status, lines, _ = run(capsys, monkeypatch, "a man\n\n", "classify", several)
        assert status == 0 and lines == [", ".join(expected), ""]
    number = tiny_folder(tmp_path / "number", model, num_labels=1, problem_type="regression")
    status, (line,), _ = run(capsys, monkeypatch, "a man\n", "classify", number)
    expected = logit_of(number, "a man")
    assert status == 0 and float(line) == pytest.approx(expected, abs=1e-4)


def logit_of(folder, text):
    model, tokenizer = load_model(str(folder), "AutoModelForSequenceClassification", purpose="a test", device="cpu")
    return model(**tokenizer(text, return_tensors="pt")).logits.item()


@pytest.mark.parametrize("command", ["evaluate", "translate"])
def test_a_run_that_is_not_finished_is_resumed_first(command, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("task: translation\n", encoding="utf-8")
    assert main([command, str(tmp_path)]) == 2
    assert f"--resume {tmp_path}" in capsys.readouterr().err


def test_a_checkpoint_without_a_padding_token_is_converted(tmp_path):
    sizes = {"vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(tmp_path / "gpt2")
    assert main(["convert", str(tmp_path / "gpt2"), "--output", str(tmp_path / "ours"), "--without-tokenizer"]) == 0
    assert vanilla.VanillaDecoderForCausalLM.from_pretrained(tmp_path / "ours").config.pad_token_id is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "{causal}", "--max-new-tokens", "64"], "at most 63"),
        (["generate", "{causal}", "--temperature", "1e-300"], "--temperature 1e-300 must be at least"),
        (["classify", "{text}", "--labels", ", ,"], "contains no label"),
        (["classify", "{token}", "--labels", "a,b"], "--labels needs a sequence classifier"),
        (["classify", "{text}", "--pair"], "Line 1 has 1 column, "),
        (["fill", "{text}"], "it was saved as VanillaEncoderForSequenceClassification"),
        (["translate", "{seq2seq}", "--num-beams", "2", "--n-best", "3"], "--num-beams of at least 3"),
    ],
)
def test_options_that_do_not_fit_the_model_are_one_line(
    arguments, message, causal_lm, text_classifier, token_classifier, seq2seq, capsys, monkeypatch
):
    folders = {"causal": causal_lm, "text": text_classifier, "token": token_classifier, "seq2seq": seq2seq}
    arguments = [argument.format_map(folders) for argument in arguments]
    status, lines, errors = run(capsys, monkeypatch, "a ___\n", *arguments)
    assert status == 2 and not lines and errors.count("\n") == 1 and message in errors


def test_labels_are_for_models_of_natural_language_inference(tmp_path, text_classifier, capsys, monkeypatch):
    status, lines, _ = run(capsys, monkeypatch, "a man\n", "classify", text_classifier, "--labels", "a,b")
    assert status == 0 and lines[0] in ("a", "b")
    names = {"id2label": {0: "neg", 1: "pos"}, "label2id": {"neg": 0, "pos": 1}}
    other = tiny_folder(tmp_path / "other", vanilla.VanillaEncoderForSequenceClassification, **names)
    status, _, errors = run(capsys, monkeypatch, "a man\n", "classify", other, "--labels", "a,b")
    assert status == 2 and "entailment" in errors and "neg, pos" in errors


def test_a_fine_tuned_model_translates_as_it_was_evaluated(tmp_path, seq2seq, capsys, monkeypatch):
    folder = shutil.copytree(seq2seq, tmp_path / "run" / "model")
    changes = ["base_model=x", "task=sequence_to_sequence", "evaluation.num_beams=2", "text_length.max_target_tokens=5"]
    load_finetune_recipe(None, changes).save(folder / "recipe.yaml")
    recipe = [tmp_path / "run", "--n-best", 1, "--scores"]
    same = [seq2seq, "--n-best", 1, "--scores", "--num-beams", 2, "--length-penalty", 1]
    same += ["--length-penalty-form", "power", "--max-extra-tokens", 5]
    _, expected, _ = run(capsys, monkeypatch, "a man\n", "translate", *same)
    status, lines, _ = run(capsys, monkeypatch, "a man\n", "translate", *recipe)
    assert status == 0 and lines == expected
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert "results.json" in capsys.readouterr().err


def test_fillings_of_several_masks_are_ranked_without_listing_all():
    random_numbers = random.Random(0)
    for lists in (1, 2, 3):
        scores = [sorted((random_numbers.random() for _ in range(6)), reverse=True) for _ in range(lists)]
        everything = sorted(map(math.prod, itertools.product(*scores)), reverse=True)
        found = list(_best_combinations(scores, 40))
        assert [product for _, product in found] == pytest.approx(everything[:40])
        assert all(math.prod(row[rank] for row, rank in zip(scores, ranks)) == product for ranks, product in found)
    assert len(list(_best_combinations([[0.9, 0.1]] * 30, 5))) == 5  # of 2^30


@pytest.mark.parametrize("folder", ["text_classifier", "token_classifier"])
def test_blank_lines_alone_have_as_many_answers(folder, request, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n \n\n")))
    assert main(["classify", str(request.getfixturevalue(folder))]) == 0
    assert capsys.readouterr().out.count("\n") == 3


def test_the_default_number_of_new_tokens_fits_a_model_with_few_positions(causal_lm, capsys):
    assert main(["generate", str(causal_lm), "--prompt", "The man", "--seed", "0"]) == 0
    assert capsys.readouterr().out.startswith("The man")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify", "MODEL", "--template", "About {}."], "--template is the hypothesis for --labels: give them"),
        (["explain", "MODEL", "a man", "--output", "page.pdf"], "page.pdf is a page: name a file that ends in .html"),
        (["classify", "MODEL", "--lables", "a,b"], "Did you mean '--labels'? hf-vanilla classify --help"),
    ],
)
def test_options_without_effect_are_refused(arguments, said, text_classifier, capsys):
    try:
        status = main([str(text_classifier) if argument == "MODEL" else argument for argument in arguments])
    except SystemExit as ended:
        status = ended.code
    assert status == 2 and said in capsys.readouterr().err
