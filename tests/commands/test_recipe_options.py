"""Fields of a recipe on the command line: what is a field, what is an option, and what is a value."""

import re

import pytest

from hf_vanilla_transformer.commands import adapt, finetune, train
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.commands.recipe_options import check_no_rest, split_fields

OUTPUTS = [
    "it's", 'a "b"', "both ' and \"", "back\\slash", "U+3000\u3000x", "no-break\u00a0space", "no", "1e3", "#1", "a: b",
    " x ",
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "others", "fields"),
    [
        (["--a.b", "1", "--c.d=2"], [], ["a.b=1", "c.d=2"]),
        (["--training.learning_rate", "-1"], [], ["training.learning_rate=-1"]),
        (["--data.path", "../x y/z.w"], [], ["data.path=../x y/z.w"]),
        (["--model.config={a: 1}"], [], ["model.config={a: 1}"]),
        (["--data.label_separator=--x"], [], ["data.label_separator=--x"]),
        (["--data.label_separator", "--"], [], ["data.label_separator=--"]),
        (["--data.source", ""], [], ["data.source="]),
        ([], [], []),
        (["x", "--a.b", "1", "y", "--output", "z.w", "--flag"], ["x", "y", "--output", "z.w", "--flag"], ["a.b=1"]),
        (["--output=x.y", "--set", "a.b=1"], ["--output=x.y", "--set", "a.b=1"], []),
    ],
)
def test_fields_are_separated_from_other_arguments(arguments, others, fields):
    assert split_fields(arguments) == (others, fields)


@pytest.mark.parametrize("arguments", [["--a.b"], ["--a.b", "--c.d", "1"], ["--a.b", "--output", "x"]])
def test_a_field_without_a_value_is_reported(arguments):
    with pytest.raises(ValueError, match=r"--a\.b needs a value"):
        split_fields(arguments)


def test_what_is_neither_option_nor_field_is_reported():
    check_no_rest("train", [])
    for rest in (["word"], ["--flag", "x"]):
        with pytest.raises(ValueError, match=re.escape(repr(rest[0]))):
            check_no_rest("train", rest)


@pytest.fixture
def recipe_of(monkeypatch):
    """The recipe that a command line stands for, and whether it resumes a run."""

    def of(*arguments):
        found = []

        def keep(_, recipe, **others):
            found.append(recipe)
            return 0

        for module in (train, adapt, finetune):
            monkeypatch.setattr(module, "plan_or_run", keep)
            monkeypatch.setattr(module, "check_paths", lambda *_: None)
        assert main([str(argument) for argument in arguments]) == 0
        return found[0]

    return of


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_output_folder_is_taken_as_it_is_written(output, recipe_of):
    assert recipe_of("train", "--recipe", "multi30k-en-de-tiny", "--output", output).output.output_dir == output
    assert recipe_of("pretrain", "--objective", "causal", "--output", output).output.output_dir == output
    recipe = recipe_of("finetune", output, "--output", output, "--data.path", output)
    assert recipe.output.output_dir == recipe.base_model == recipe.data.path == output


def test_a_value_is_not_taken_for_the_base_model(tmp_path, recipe_of):
    recipe_of("finetune", "runs/base", "--output", tmp_path).save(tmp_path / "recipe.yaml")
    resumed = recipe_of("finetune", "--resume", tmp_path, "--rates.learning_rate", "1e-3")
    assert (resumed.base_model, resumed.rates.learning_rate) == ("runs/base", 1e-3)
    recipe = recipe_of("finetune", "--rates.learning_rate", "1e-3", "runs/other", "--data.path", "x")
    assert (recipe.base_model, recipe.rates.learning_rate, recipe.data.path) == ("runs/other", 1e-3, "x")


def test_a_value_is_not_taken_for_the_base_model_of_an_adaptation(tmp_path, recipe_of):
    from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

    changes = ["task=causal_lm", "adaptation.base_model=runs/base", f"output.output_dir={tmp_path}"]
    load_recipe("adapt", changes).save(tmp_path / "recipe.yaml")
    resumed = recipe_of("adapt", "--resume", tmp_path, "--training.max_steps", "80")
    assert (resumed.adaptation.base_model, resumed.training.max_steps) == ("runs/base", 80)


@pytest.mark.parametrize("command", ["train", "pretrain", "adapt", "finetune"])
def test_fields_are_listed_without_any_other_option(command, capsys):
    assert main([command, "--fields"]) == 0
    listed = capsys.readouterr().out
    assert re.search(
        r"^training\.seed = 0 +\(whole number, at least 0 and below 4,294,967,296\)$", listed, re.MULTILINE
    )


@pytest.mark.parametrize("command", ["train", "pretrain", "adapt", "finetune"])
def test_the_options_of_all_training_commands_are_alike(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = capsys.readouterr().out
    for option in ("--recipe", "--resume FOLDER", "--output FOLDER", "--fields", "--dry-run", "--set FIELD=VALUE"):
        assert option in printed


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["train", "--resume", "x", "--recipe", "y"], "--recipe"),
        (["train", "--resume", "x", "--output", "y"], "--output"),
        (["pretrain", "--resume", "x", "--objective", "span"], "--objective"),
        (["adapt", "base", "--resume", "x"], "BASE_MODEL"),
        (["finetune", "base", "--resume", "x"], "BASE_MODEL"),
        (["finetune", "--resume", "x", "--task", "classification"], "--task"),
        (["train", "--output", "x"], "--recipe .*--resume"),
        (["pretrain"], "--objective causal, masked, denoising, span"),
        (["adapt"], "BASE_MODEL .*--resume"),
        (["finetune", "--task", "classification"], "BASE_MODEL"),
    ],
)
def test_missing_and_superfluous_options_are_named(arguments, names, capsys):
    assert main(arguments) == 2
    assert re.search(names, capsys.readouterr().err)
