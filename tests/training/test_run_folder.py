"""The output folder of a run: new, resumable, finished, or somebody else's."""

import errno
import os

import pytest
import yaml
from filelock import FileLock

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe
from hf_vanilla_transformer.training.run_folder import (
    RunFinished,
    Start,
    changed_fields,
    check_new,
    find_start,
    lock_folder,
    resume_command,
)

from .toy import toy_recipe


def test_other_files_are_left_alone(pairs, tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis\.doc.*--output"):
        run_training(toy_recipe(pairs, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_is_no_folder(pairs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file.*--output"):
        run_training(toy_recipe(pairs, tmp_path / "file"))


def test_a_new_folder_and_an_empty_one_are_taken(tmp_path):
    check_new(tmp_path)
    check_new(tmp_path / "new")


def test_what_a_run_leaves_that_was_killed_at_its_beginning_counts_as_nothing(pairs, tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".recipe.yaml.abcd1234.partial").mkdir()
    (tmp_path / "checkpoints").mkdir()
    assert find_start(tmp_path, toy_recipe(pairs, tmp_path)) == Start()
    (tmp_path / "checkpoints" / "mine.txt").touch()
    with pytest.raises(ValueError, match=r"holds other files \(checkpoints\).*--output"):
        find_start(tmp_path, toy_recipe(pairs, tmp_path))


def test_there_is_nothing_to_resume(pairs, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"recipe\.yaml"):
        run_training(toy_recipe(pairs, tmp_path / "run"), resume=True)


def test_no_folder_given(pairs, tmp_path):
    with pytest.raises(ValueError, match=r"output\.output_dir.*--output"):
        run_training(toy_recipe(pairs, tmp_path, "output.output_dir=null"))


@pytest.fixture
def unfinished(pairs, tmp_path):
    """A run that was interrupted before its first checkpoint."""
    recipe = toy_recipe(pairs, tmp_path / "run")
    (tmp_path / "run").mkdir()
    recipe.save(tmp_path / "run" / "recipe.yaml")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("change", "command"),
    [
        ({}, "train"),
        ({"adaptation": {"base_model": "runs/base"}}, "adapt"),
        (None, "finetune"),
    ],
)
def test_an_unfinished_run_is_resumed_by_its_own_command(unfinished, change, command):
    recipe = yaml.safe_load((unfinished / "recipe.yaml").read_text())
    recipe = FinetuneRecipe().to_dict() if change is None else {**recipe, **change}
    (unfinished / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert resume_command(unfinished) == f"hf-vanilla {command} --resume {unfinished}"


def test_the_same_command_goes_on_with_an_unfinished_run(unfinished, pairs):
    recipe = toy_recipe(pairs, unfinished)
    for resume in (False, True, "if_exists"):
        assert find_start(unfinished, recipe, resume) == Start(goes_on=True)
    # However the folder is written.
    recipe.output.output_dir = f"{unfinished}/../{unfinished.name}"
    assert find_start(unfinished, recipe).goes_on


def test_resume_if_exists_begins_in_a_new_folder(tmp_path, pairs):
    assert find_start(tmp_path / "new", toy_recipe(pairs, tmp_path / "new"), "if_exists") == Start()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("tokenizer.vocab_size=61", "tokenizer.vocab_size was 60 and is 61"),
        ("training.learning_rate=1e-3", "training.learning_rate was 0.005 and is 0.001"),
        ("training.optim=muon", "training.optim was 'adam' and is 'muon'"),
        ("training.gradient_accumulation_steps=2", "training.gradient_accumulation_steps was 1 and is 2"),
        ("data.max_length=20", "data.max_length was 256 and is 20"),
    ],
)
def test_a_change_that_the_weights_depend_on_is_not_resumed(unfinished, pairs, change, field):
    for resume in (False, True, "if_exists"):
        with pytest.raises(ValueError, match=field):
            find_start(unfinished, toy_recipe(pairs, unfinished, change), resume)


def test_rates_and_data_may_change_if_that_is_accepted_but_not_what_the_weights_are_for(unfinished, pairs):
    changes = ["training.learning_rate=1e-3", "data.max_length=20", "model.config.dropout=0.2"]
    recipe = toy_recipe(pairs, unfinished, *changes)
    with pytest.raises(ValueError, match=r"learning_rate.*--accept-changes"):
        find_start(unfinished, recipe, True)
    found = find_start(unfinished, recipe, True, accept_changes=True)
    assert found.changes["training.learning_rate"] == (0.005, 0.001) and len(found.changes) == 3
    for change in ("training.optim=muon", "model.config.hidden_size=32", "tokenizer.vocab_size=61"):
        with pytest.raises(ValueError, match=change.split("=")[0]) as refused:
            find_start(unfinished, toy_recipe(pairs, unfinished, change), True, accept_changes=True)
        assert "--accept-changes" not in str(refused.value)


def test_limits_and_reports_may_change(unfinished, pairs):
    changes = ["training.max_steps=20", "training.logging_steps=1", "output.plot=true", "checkpoint.save_steps=5"]
    recipe = toy_recipe(pairs, unfinished, *changes)
    for resume in (True, "if_exists"):
        assert set(find_start(unfinished, recipe, resume).changes) == {change.split("=")[0] for change in changes}
    with pytest.raises(ValueError, match=r"unfinished run.*max_steps was 12 and is 20.*--resume .*--resume-if-exists"):
        find_start(unfinished, recipe)


def test_a_finished_run_is_resumed_only_beyond_its_limits(unfinished, pairs):
    (unfinished / "results.json").write_text("{}")
    recipe = toy_recipe(pairs, unfinished)
    for resume in (False, True, "if_exists"):
        with pytest.raises(RunFinished, match=r"results\.json.*max_steps.*--output"):
            find_start(unfinished, recipe, resume)
    with pytest.raises(RunFinished):
        find_start(unfinished, toy_recipe(pairs, unfinished, "training.logging_steps=1"), True)
    longer = toy_recipe(pairs, unfinished, "training.max_steps=20")
    assert find_start(unfinished, longer, True).goes_on
    with pytest.raises(ValueError, match=r"finished run of another recipe.*--output.*--resume-if-exists"):
        find_start(unfinished, longer)
    with pytest.raises(ValueError, match=r"finished run.*--output"):
        check_new(unfinished)


def test_a_field_that_an_older_version_did_not_have_is_no_change(unfinished, pairs):
    saved = yaml.safe_load((unfinished / "recipe.yaml").read_text())
    del saved["training"]["on_bad_loss"]
    (unfinished / "recipe.yaml").write_text(yaml.safe_dump(saved))
    assert not find_start(unfinished, toy_recipe(pairs, unfinished)).changes


def test_changed_fields_of_nested_recipes():
    before = {"task": "a", "data": {"path": "x", "names": [1]}, "old": 1}
    now = {"task": "a", "data": {"path": "y", "names": [1]}, "new": 2}
    assert changed_fields(before, now) == {"data.path": ("x", "y"), "new": (None, 2), "old": (1, None)}


def test_a_folder_in_which_another_process_trains_is_left_alone(unfinished, pairs):
    before = (unfinished / "recipe.yaml").read_text()
    with FileLock(unfinished / ".lock"), pytest.raises(ValueError, match=f"{unfinished}.*--output"):
        run_training(toy_recipe(pairs, unfinished, "training.max_steps=2"), resume=True)
    assert (unfinished / "recipe.yaml").read_text() == before
    # A lock file alone, as a process leaves it that was killed, does not matter.
    assert run_training(toy_recipe(pairs, unfinished, "training.max_steps=2"), resume=True).steps == 2
    assert not (unfinished / ".lock").exists()


@pytest.mark.skipif(os.name == "nt", reason="flock is of POSIX")
def test_a_file_system_without_locks_has_a_lock_of_its_own(tmp_path, monkeypatch):
    import fcntl

    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with lock_folder(tmp_path / "run"):
        with pytest.raises(ValueError, match="Another process"), lock_folder(tmp_path / "run"):
            pass
        (tmp_path / "run" / "recipe.yaml").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.yaml"]


def test_a_folder_that_cannot_be_written_to_is_named_before_any_work(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "hf_vanilla_transformer.training.run_folder.FileLock.acquire",
        lambda *arguments, **keywords: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")),
    )
    with pytest.raises(OSError, match=rf"{tmp_path / 'run'} cannot be written to: Read-only file system.*--output"):
        run_training(toy_recipe(pairs, tmp_path / "run"))


def test_a_refused_run_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), lock_folder(tmp_path / "a" / "b"):
        raise KeyError
    assert not (tmp_path / "a").exists()
