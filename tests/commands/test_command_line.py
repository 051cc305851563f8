"""The command line of every command: numbers, paths, outputs, mistyped names, help and examples."""

import argparse
import io
import re
import shlex
import sys

import pytest

from hf_vanilla_transformer.commands import option_types
from hf_vanilla_transformer.commands.main import COMMANDS, EXAMPLES, main, parse
from hf_vanilla_transformer.commands.parser import CommandParser
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe
from hf_vanilla_transformer.training.recipes.reading import read_recipe
from hf_vanilla_transformer.training.recipes.training_recipe import Recipe

RUNS_A_RECIPE = {"train": Recipe, "pretrain": Recipe, "adapt": Recipe, "evaluate": Recipe, "finetune": FinetuneRecipe}


@pytest.fixture(scope="module")
def actions() -> dict[str, list[argparse.Action]]:
    """The options and positional arguments of each command."""
    found: dict[str, list[argparse.Action]] = {}
    real = CommandParser.parse_known_args

    def keep(parser, arguments=None, namespace=None):
        found[parser.prog.removeprefix("hf-vanilla").strip()] = parser._actions
        return real(parser, arguments, namespace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CommandParser, "parse_known_args", keep)
        for command in COMMANDS:
            with pytest.raises(SystemExit):
                main([command, "--no-such-option"] if command in ("translate", "demo") else [command, "--help"])
    return {command: found[command] for command in COMMANDS}


def refused(capsys, *arguments: str) -> str:
    """The one line that wrong arguments print on standard error."""
    try:
        status = main(list(arguments))
    except SystemExit as ended:
        status = ended.code
    printed = capsys.readouterr()
    assert status == 2 and not printed.out and printed.err.count("\n") == 1, printed
    return printed.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_has_bounds(command, actions, capsys):
    for action in actions[command]:
        assert action.type not in (int, float), action.option_strings
        if action.metavar in ("N", "K", "T", "P", "X"):
            name = action.option_strings[-1]
            for value in ("nan", "inf", "-inf", "many", "", "0x10"):
                assert f"{name}: must be" in refused(capsys, command, "x", f"{name}={value}")
            if isinstance(action.type("1"), int):
                assert f"{name}: must be a whole number" in refused(capsys, command, "x", f"{name}=1.5")
                assert action.type("1e3") == 1000


@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        (["generate", "m", "--seed=-1"], "at least 0"),
        (["generate", "m", "--seed", str(2**32)], f"at most {2**32 - 1}"),
        (["generate", "m", "--top-p", "1.01"], "at most 1"),
        (["generate", "m", "--top-p", "0"], "above 0"),
        (["demo", "--seed=-3"], "at least 0"),
        (["demo", "m", "--port", "65536"], "at most 65535"),
        (["translate", "m", "--num-beams", "1e400"], "a whole number"),
        (["translate", "m", "--num-beams", "9" * 400], "at most"),
    ],
)
def test_numbers_out_of_bounds_are_refused(arguments, bound, capsys):
    assert f"must be {bound}" in refused(capsys, *arguments)


def test_a_tilde_is_the_home_folder_also_inside_of_an_argument(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    _, parsed = parse(["translate", "~/model", "--input=~/a.txt", "--output", "~/b.txt"])
    assert (parsed.model, parsed.input, parsed.output) == tuple(
        str(tmp_path / name) for name in ("model", "a.txt", "b.txt")
    )
    assert option_types.path_or_name("~me") == "~me" and option_types.path_or_name("a/~/b") == "a/~/b"
    changes = ["data.path=~/data", "output.output_dir=~/run", "data.train=~/t.csv", "data.text=~x"]
    recipe = read_recipe(FinetuneRecipe, None, changes)
    assert (recipe.data.path, recipe.output.output_dir) == (str(tmp_path / "data"), str(tmp_path / "run"))
    assert recipe.data.train == [str(tmp_path / "t.csv")] and recipe.data.text == "~x"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_path_may_be_empty(command, actions, capsys):
    for action in actions[command]:
        if action.metavar in ("FILE", "FOLDER") and action.option_strings:
            name = action.option_strings[-1]
            assert f"{name}: must not be empty" in refused(capsys, command, "x", f"{name}=")


def test_every_command_names_its_output_the_same_way(actions):
    for command, options in actions.items():
        (output,) = [action for action in options if action.dest == "output"]
        assert output.option_strings == ["-o", "--output"] and not output.required, command


@pytest.mark.parametrize(
    "arguments", [["export", "m", "out"], ["convert", "m", "--head", "base", "out"], ["card", "m", "out"],
                  ["publish", "m", "me/m", "--dry-run", "out"]],
)  # fmt: skip
def test_an_output_given_by_its_place_is_taken_with_a_note(arguments, capsys):
    _, parsed = parse(arguments)
    assert parsed.output == "out" and "--output out" in capsys.readouterr().err
    assert "'out' is not understood" in refused(capsys, *arguments, "more")


@pytest.mark.parametrize("command", ["export", "convert", "card", "average"])
def test_a_missing_output_is_said_before_any_work(command, capsys):
    assert "--output is missing" in refused(capsys, command, "nowhere")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["tranlate", "m"], "Did you mean 'translate'?"),
        (["translate", "m", "--beams", "3"], "Did you mean '--num-beams'?"),
        (["export", "m", "--to", "onx"], "Did you mean 'onnx'?"),
        (["train", "--recipe", "adapt", "--learning-rate", "1"], "--training.learning_rate?"),
        (["finetune", "m", "--learning_rate", "1"], "--rates.learning_rate?"),
        (["train", "--recipes", "adapt"], "Did you mean '--recipe'?"),
        (["translate"], "required: MODEL"),
        (["translate", "m", "--output"], "--OPTION=VALUE"),
        (["translate", "m", "word"], "'word'"),
        (["evaluate", "m", "--foo"], "'--foo' is not understood. Fields"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(arguments, named, capsys):
    assert named in refused(capsys, *arguments)


def test_without_a_command_the_commands_are_listed(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    printed = capsys.readouterr()
    assert ended.value.code == 2 and not printed.out and all(f"\n    {name} " in printed.err for name in COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_narrow_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"] if command else ["--help"])
    text = capsys.readouterr().out
    before, _, examples = text.partition("\nexamples:")
    assert ended.value.code == 0 and examples
    assert max(map(len, before.splitlines())) <= 80
    assert max(map(len, examples.splitlines())) <= 120


def examples_of(text: str) -> list[list[str]]:
    """The arguments of each command in a help text, as a shell would split them."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    commands = [re.sub(r"^(echo .* \| |accelerate launch .* -m )", "", line) for line in lines]
    commands = [re.sub(r"^hf_vanilla_transformer.commands.main", "hf-vanilla", command) for command in commands]
    return [shlex.split(command)[1:] for command in commands if command.startswith("hf-vanilla ")]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_examples_in_help_are_valid_command_lines(command, capsys):
    text = EXAMPLES if not command else parse_examples(command)
    examples = examples_of(text)
    assert examples and "  " not in " ".join(" ".join(example) for example in examples)
    for example in examples:
        if "--help" in example:
            continue
        _, parsed = parse(example)
        assert not command or parsed.command == command
        if parsed.command in RUNS_A_RECIPE:
            start = parsed.recipe if getattr(parsed, "recipe", None) and "/" not in parsed.recipe else None
            start = None if start is None or start.endswith(".yaml") else start
            read_recipe(RUNS_A_RECIPE[parsed.command], start, [*parsed.set, *parsed.overrides])
    assert "the output is named with" not in capsys.readouterr().err


def parse_examples(command: str) -> str:
    import importlib

    return importlib.import_module(f"hf_vanilla_transformer.commands.{command}").EXAMPLES


def test_text_and_names_that_the_locale_cannot_decode_pass_unchanged(monkeypatch):
    ascii_argument = "é 한".encode().decode("ascii", "surrogateescape")  # as Python gets it in the locale C
    _, parsed = parse(["generate", "m", "--prompt", ascii_argument, "--output", ascii_argument])
    assert parsed.prompt == "é 한" and parsed.output == ascii_argument
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(SystemExit):
        main(["--version"])
    print(f"{ascii_argument} caf\udce9 한 \ud800", flush=True)
    assert sys.stdout.buffer.getvalue().splitlines()[-1] == "é 한 caf".encode() + b"\xe9 " + "한 ?".encode()
