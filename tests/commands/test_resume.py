"""How commands that train go on with a run: exit status, the same command again, and the options for it."""

import signal

import pytest

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.training.checkpoints import checkpoints, load_weights

from ..training.interruption import interrupt_at
from ..training.test_training_run import assert_same
from ..training.toy import toy_recipe, write_pairs


@pytest.fixture
def train(tmp_path):
    """Returns the command line of a training of six updates."""
    recipe = toy_recipe(write_pairs(tmp_path / "pairs"), tmp_path / "none", "training.max_steps=6", "data.test=[]")
    recipe.output.output_dir = None
    recipe.save(tmp_path / "recipe.yaml")

    def command(folder, *more):
        return ["train", "--recipe", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / folder), *more]

    return command


def test_the_same_command_goes_on_until_the_run_is_finished(train, tmp_path, capsys, monkeypatch):
    assert main(train("unbroken")) == 0
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with monkeypatch.context() as patch:
            step = {143: 2, 130: 4}[status]
            interrupt_at(patch, step, number)
            assert main(train("run")) == status
        assert f"Interrupted by {number.name} after {step} updates" in capsys.readouterr().err
    assert main(train("run")) == 0
    assert "goes on after update 4" in capsys.readouterr().err
    assert_same(load_weights(tmp_path / "run"), load_weights(tmp_path / "unbroken"))
    # Once more, as after a kill between the last file and the end of the process.
    for command in (train("run"), train("run", "--resume-if-exists"), ["train", "--resume", str(tmp_path / "run")]):
        assert main(command) == 0
        assert "is finished" in capsys.readouterr().err


def test_another_recipe_is_refused_field_by_field(train, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        assert main(train("run")) == 130
    capsys.readouterr()
    longer = ["--training.max_steps", "8"]
    assert main(train("run", *longer)) == 2
    assert "training.max_steps was 6 and is 8" in (said := capsys.readouterr().err) and "--resume-if-exists" in said
    slower = ["--training.learning_rate", "1e-4", "--data.on_bad_row", "error"]
    assert main(["train", "--resume", str(tmp_path / "run"), *slower]) == 2
    said = capsys.readouterr().err
    assert "training.learning_rate was 0.005 and is 0.0001" in said and "data.on_bad_row was 'skip'" in said
    assert "--accept-changes" in said
    assert main(["train", "--resume", str(tmp_path / "run"), *slower, "--accept-changes"]) == 0
    assert "training.learning_rate was 0.005 and is 0.0001" in capsys.readouterr().err
    assert main(train("run", *slower, *longer, "--resume-if-exists")) == 0
    assert [path.name for path in checkpoints(tmp_path / "run")][-1] == "checkpoint-8"


def test_resume_if_exists_begins_a_run(train, capsys):
    assert main(train("new", "--resume-if-exists", "--training.max_steps", "1")) == 0
    assert "goes on" not in capsys.readouterr().err


def test_a_run_that_does_not_exist_is_not_resumed(tmp_path, capsys):
    for command in ("train", "pretrain", "adapt", "finetune"):
        assert main([command, "--resume", str(tmp_path)]) == 2
        assert f"no run to resume in {tmp_path}" in capsys.readouterr().err
