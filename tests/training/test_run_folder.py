"""The output folder of a run: new, resumable, finished, or somebody else's."""

import pytest
import yaml
from filelock import FileLock

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe
from hf_vanilla_transformer.training.run_folder import changed_fields, check_new, check_resumable

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
    with pytest.raises(ValueError, match=f"hf-vanilla {command} --resume {unfinished}"):
        check_new(unfinished)


def test_a_run_without_a_checkpoint_starts_from_the_beginning(unfinished, pairs):
    assert check_resumable(unfinished, toy_recipe(pairs, unfinished)) is None


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
    with pytest.raises(ValueError, match=field):
        check_resumable(unfinished, toy_recipe(pairs, unfinished, change))


def test_limits_and_reports_may_change(unfinished, pairs):
    changes = ["training.max_steps=20", "training.logging_steps=1", "output.plot=true", "checkpoint.save_steps=5"]
    assert check_resumable(unfinished, toy_recipe(pairs, unfinished, *changes)) is None


def test_a_finished_run_is_resumed_only_beyond_its_limits(unfinished, pairs):
    (unfinished / "results.json").write_text("{}")
    with pytest.raises(ValueError, match=r"results\.json"):
        check_resumable(unfinished, toy_recipe(pairs, unfinished, "training.logging_steps=1"))
    assert check_resumable(unfinished, toy_recipe(pairs, unfinished, "training.max_steps=20")) is None
    with pytest.raises(ValueError, match=r"finished.*--output"):
        check_new(unfinished)


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
