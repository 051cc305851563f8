"""The command line: help, options, output and error messages."""

import io
import json
import runpy
import signal
import sys
from pathlib import Path

import pytest

from hf_vanilla_transformer.commands.main import COMMANDS, main
from hf_vanilla_transformer.training.recipes.reading import fields_of, recipe_names
from hf_vanilla_transformer.training.recipes.training_recipe import Recipe

from ..training.toy import toy_recipe

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("command", list(COMMANDS))
def test_each_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"hf-vanilla {command}" in capsys.readouterr().out.split("examples:")[1]


def test_lists_of_recipes_and_fields(capsys):
    assert main(["train", "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in recipe_names())
    assert main(["train", "--fields"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name, _ in fields_of(Recipe))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--recipe", "multi30k-en-de-tinny", "--output", "x"], "'multi30k-en-de-tiny'"),
        (["train", "--recipe", "multi30k-en-de-tiny", "--training.max_step", "3"], "'training.max_steps'"),
        (["train", "--recipe", "multi30k-en-de-tiny", "extra"], "'extra'"),
        (["train", "--recipe", "multi30k-en-de-tiny", "--data.path", "no/such/data", "--output", "x"], "no/such/data"),
        (["train", "--resume", "nowhere"], "'nowhere'"),
        (["evaluate", "nowhere"], "'nowhere'"),
        (["average", "nowhere", "--output", "x"], "no folder nowhere"),
        (["translate", "nowhere", "--input", "no-such-file"], "--input no-such-file"),
    ],
)
def test_an_error_is_one_line_that_names_the_value(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert printed.startswith(f"hf-vanilla {arguments[0]}: ")
    assert not list(tmp_path.iterdir())


def test_unknown_options_of_other_commands_are_rejected(capsys):
    with pytest.raises(SystemExit):
        main(["average", "x", "--output", "y", "--frist", "3"])
    assert "--frist" in capsys.readouterr().err


def test_train_runs_a_recipe_file_with_overrides(pairs, tmp_path, capsys):
    toy_recipe(pairs, tmp_path / "unused").save(tmp_path / "recipe.yaml")
    arguments = ["train", "--recipe", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / "run")]
    assert main([*arguments, "--dry-run", "--training.max_steps", "3"]) == 0
    assert "after 3 updates" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    assert main([*arguments, "--training.max_steps", "3", "--set", "training.logging_steps=1"]) == 0
    printed = capsys.readouterr().err
    assert "step 3/3" in printed and "tokens/s" in printed and "left" in printed
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == 3
    published = tmp_path / "run" / "model"
    assert str(published) in printed and "AutoModelForSeq2SeqLM" in printed
    assert {"README.md", "model.safetensors", "tokenizer.json", "recipe.yaml"} <= {
        path.name for path in published.iterdir()
    }
    assert main([*arguments, "--training.max_steps", "3"]) == 2
    assert str(tmp_path / "run") in capsys.readouterr().err


def test_evaluate_computes_the_scores_of_the_run(trained, capsys, tmp_path):
    out, scores = tmp_path / "out.txt", tmp_path / "scores.json"
    assert main(["evaluate", str(trained), "--translations", str(out)]) == 0
    printed = capsys.readouterr().out
    assert main(["evaluate", str(trained), "--json", "--output", str(scores)]) == 0
    assert not capsys.readouterr().out
    results = json.loads((trained / "results.json").read_text())
    written = json.loads(scores.read_text())
    assert written["bleu"] == pytest.approx(results["test_bleu"])
    assert written["loss"] == pytest.approx(results["test_loss"], rel=1e-5)
    assert results["test_bleu_signature"] in printed
    assert out.read_text() == (trained / "test.translations.txt").read_text()
    assert main(["evaluate", str(trained), "--split", "validation", "--generation.num_beams", "1"]) == 0


def test_translate_keeps_the_order_of_the_lines_of_a_file(trained, pairs, tmp_path, capsys):
    lines = [line.split("\t")[0] for line in (pairs / "test.tsv").read_text().splitlines()]
    (tmp_path / "source").write_text("\n".join(lines), encoding="utf-8")  # no line break after the last line
    assert (
        main(["translate", str(trained), "--input", str(tmp_path / "source"), "--output", str(tmp_path / "out")]) == 0
    )
    assert (tmp_path / "out").read_text() == (trained / "test.translations.txt").read_text()
    (tmp_path / "bytes").write_bytes(b"good\n\xff bad\n")
    assert main(["translate", str(trained), "--input", str(tmp_path / "bytes")]) == 2
    assert "Line 2 of" in capsys.readouterr().err


def test_translate_reads_standard_input_and_writes_to_standard_output(trained, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a cab\n\ndab ice\n")))
    assert main(["translate", str(trained), "--num-beams", "1", "--max-extra-tokens", "3"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 4 and lines[1] == lines[3] == ""


def test_average_writes_a_model_that_can_be_evaluated(trained, tmp_path, capsys):
    output = tmp_path / "averaged"
    assert main(["average", str(trained), "--last", "2", "--output", str(output)]) == 0
    assert "checkpoint-6, checkpoint-12" in capsys.readouterr().out
    assert not (output / "optimizer.pt").exists()
    assert main(["evaluate", str(output)]) == 0
    assert main(["average", str(trained), "--last", "2", "--output", str(output)]) == 0  # the same stays
    assert main(["average", str(trained), "--last", "1", "--output", str(output)]) == 2
    assert main(["average", str(trained), "--last", "9", "--output", str(tmp_path / "other")]) == 2


@pytest.mark.parametrize(
    "command", ["train", "adapt", "evaluate", "average", "translate", "generate", "fill", "classify"]
)
def test_scripts_are_the_same_commands(command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"{command}.py", "--help"])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / f"{command}.py"), run_name="__main__")
    finally:
        # A script ends with its process and leaves the effect that ends one: other tests would die of their signals.
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ended.value.code == 0
    assert f"hf-vanilla {command}" in capsys.readouterr().out


def test_the_recipes_of_the_scripts_are_those_of_the_package():
    assert sorted(path.stem for path in (SCRIPTS / "recipes").glob("*.yaml")) == recipe_names()
