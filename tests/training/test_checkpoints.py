"""Checkpoints on disk: which there are, which can be resumed, which are kept, and the average of their weights."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM

from hf_vanilla_transformer.training import checkpoints as checkpoint_module
from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.checkpoints import (
    average_checkpoints,
    checkpoints,
    load_weights,
    newest_resumable,
    remove_newer,
    remove_old,
    remove_old_best,
    save_average,
)
from hf_vanilla_transformer.training.checksums import damaged_file
from hf_vanilla_transformer.training.run_folder import RunFinished
from hf_vanilla_transformer.training.trainer import RecipeTrainer

from .test_training_run import assert_same, losses, rates
from .toy import toy_recipe


def write_checkpoint(folder, step, value, name="weight"):
    path = folder / "checkpoints" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({name: torch.full((2, 2), float(value))}, path / "model.safetensors")
    (path / "config.json").write_text("{}")
    (path / "optimizer.pt").write_text("large")
    return path


def test_the_last_checkpoints_are_averaged_by_number_not_by_name(tmp_path):
    for step, value in ((900, 1), (1000, 2), (1100, 6)):
        write_checkpoint(tmp_path, step, value)
    (tmp_path / "checkpoints" / ".partial").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-900", "checkpoint-1000", "checkpoint-1100"]
    assert torch.equal(average_checkpoints(tmp_path, last=2)["weight"], torch.full((2, 2), 4.0))
    assert torch.equal(average_checkpoints(tmp_path, last=3)["weight"], torch.full((2, 2), 3.0))


def test_an_averaged_folder_is_a_model_folder_without_training_state(tmp_path):
    paths = [write_checkpoint(tmp_path, step, step) for step in (1, 3)]
    save_average(paths, tmp_path / "averaged")
    assert sorted(path.name for path in (tmp_path / "averaged").iterdir()) == ["config.json", "model.safetensors"]
    assert torch.equal(load_file(tmp_path / "averaged" / "model.safetensors")["weight"], torch.full((2, 2), 2.0))


def test_a_full_disk_leaves_the_old_average(tmp_path, monkeypatch):
    paths = [write_checkpoint(tmp_path, step, step) for step in (1, 3)]
    save_average(paths, tmp_path / "averaged")

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_average(paths[:1], tmp_path / "averaged")
    assert torch.equal(load_file(tmp_path / "averaged" / "model.safetensors")["weight"], torch.full((2, 2), 2.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["averaged", "checkpoints"]


def test_what_cannot_be_averaged_is_named(tmp_path):
    write_checkpoint(tmp_path, 1, 1)
    with pytest.raises(FileNotFoundError, match=r"1 checkpoint,.*last 5.*checkpoint\.save_steps"):
        average_checkpoints(tmp_path, last=5)
    with pytest.raises(ValueError, match=r"last.*0"):
        average_checkpoints(tmp_path, last=0)
    write_checkpoint(tmp_path, 2, 1, name="other")
    with pytest.raises(ValueError, match="other"):
        average_checkpoints(tmp_path, last=2)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_best(folder, *steps):
    for step in steps:
        (folder / "checkpoints" / f"best-{step}").mkdir(parents=True)


def write_state(folder, step, best):
    state = write_checkpoint(folder, step, step) / "trainer_state.json"
    state.write_text(json.dumps({"best_global_step": best}))


def test_best_weights_stay_while_a_checkpoint_returns_to_them(tmp_path):
    for step, best in ((100, 50), (200, 150), (300, 150)):
        write_state(tmp_path, step, best)
    write_best(tmp_path, 50, 150, 350)
    folder = tmp_path / "checkpoints"
    remove_old_best(folder, 350)
    assert [name for name in names(folder) if name.startswith("best")] == ["best-150", "best-350", "best-50"]
    remove_old(folder, 2)
    assert names(folder) == ["best-150", "checkpoint-200", "checkpoint-300"]


def test_what_comes_after_the_resumed_update_is_removed(tmp_path):
    for step in (100, 200, 1000):
        write_state(tmp_path, step, None)
    write_best(tmp_path, 100, 150, 900)
    remove_newer(tmp_path / "checkpoints", 150)
    assert names(tmp_path / "checkpoints") == ["best-100", "best-150", "checkpoint-100"]


CHECKPOINTS = ["checkpoint.save_steps=4", "evaluation.eval_steps=4"]


@pytest.fixture(scope="module")
def run_with_checkpoints(pairs, tmp_path_factory):
    """A finished run with checkpoints and evaluations after 4, 8 and 12 updates. It reads a copy of the data."""
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    data = shutil.copytree(pairs, folder.parent / "data")
    run_training(toy_recipe(data, folder, *CHECKPOINTS))
    assert (
        json.loads((folder / "checkpoints" / "checkpoint-12" / "trainer_state.json").read_text())["best_global_step"]
        == 12
    )
    return folder


@pytest.fixture
def data(run_with_checkpoints):
    """The data of that run."""
    return run_with_checkpoints.parent / "data"


def unfinished_copy(run, folder):
    """The run as it was before its scores were written."""
    shutil.copytree(run, folder)
    (folder / "results.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("optimizer.pt", "missing"),
        ("scheduler.pt", "missing"),
        ("rng_state.pth", "missing"),
        ("run_state.pt", "missing"),
        ("model.safetensors", "truncated"),
        ("optimizer.pt", "truncated"),
        ("optimizer.pt", "flipped"),
        ("trainer_state.json", "truncated"),
        ("model.safetensors", "flipped"),
        ("rng_state.pth", "flipped"),
        ("tokenizer.json", "flipped"),
        ("config.json", "missing"),
        ("sha256sums.txt", "truncated"),
        ("../best-12/model.safetensors", "flipped"),
        ("../best-12", "missing"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_resumed(
    name, damage, run_with_checkpoints, tmp_path, caplog
):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    file = folder / "checkpoints" / "checkpoint-12" / name
    content = bytearray(file.read_bytes() if file.is_file() else b"")
    if damage == "missing":
        file.unlink() if file.is_file() else shutil.rmtree(file)
    elif damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert newest_resumable(folder).name == "checkpoint-8"
    assert "checkpoint-12" in caplog.text and Path(name).name in caplog.text


def test_a_run_without_its_newest_checkpoint_ends_as_before(run_with_checkpoints, data, tmp_path):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    (folder / "checkpoints" / "checkpoint-12" / "optimizer.pt").unlink()
    assert run_training(toy_recipe(data, folder, *CHECKPOINTS)).steps == 12
    assert_same(load_weights(folder), load_weights(run_with_checkpoints))
    assert losses(folder) == losses(run_with_checkpoints)


def test_a_checkpoint_without_checksums_is_resumed_if_its_files_can_be_read(run_with_checkpoints, tmp_path, caplog):
    """As earlier versions saved them."""
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    for path in checkpoints(folder):
        (path / "sha256sums.txt").unlink()
    assert newest_resumable(folder).name == "checkpoint-12"
    (folder / "checkpoints" / "checkpoint-12" / "trainer_state.json").write_text("{")
    assert newest_resumable(folder).name == "checkpoint-8" and "trainer_state.json is damaged" in caplog.text


def test_checksums_are_those_of_sha256sum(run_with_checkpoints):
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum")
    for folder in (run_with_checkpoints, *(run_with_checkpoints / "checkpoints").iterdir()):
        subprocess.run(["sha256sum", "--check", "--quiet", "sha256sums.txt"], cwd=folder, check=True)


def test_checksums_name_no_file_of_another_folder(tmp_path):
    (tmp_path / "secret").write_text("1")
    (tmp_path / "model").mkdir()
    for name in ("../secret", str(tmp_path / "secret")):
        (tmp_path / "model" / "sha256sums.txt").write_text(f"{'0' * 64}  {name}\n")
        assert damaged_file(tmp_path / "model") == "sha256sums.txt is damaged (line 1)"


@pytest.mark.parametrize("name", ["model.safetensors", "model/model.safetensors"])
def test_a_damaged_final_model_is_written_again(name, run_with_checkpoints, data, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(run_with_checkpoints, folder)
    recipe = toy_recipe(data, folder, *CHECKPOINTS)
    with pytest.raises(RunFinished):
        run_training(recipe)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        load_weights(folder)
    assert run_training(recipe).steps == 12
    assert f"{name} is damaged" in caplog.text and (folder / name).read_bytes() == whole


def test_other_rows_are_not_resumed_unless_that_is_accepted(run_with_checkpoints, data, tmp_path, caplog):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "checkpoint-12")
    recipe = toy_recipe(data, folder, *CHECKPOINTS)
    before = {split: (data / f"{split}.tsv").read_text() for split in ("train", "validation")}
    for split, text in before.items():
        try:
            (data / f"{split}.tsv").write_text("\n".join(reversed(text.splitlines())) + "\n")
            words = {"train": "training rows", "validation": "validation rows"}[split]
            with pytest.raises(ValueError, match=rf"The {words} differ.*checkpoint-8.*data\.path.*--accept-changes"):
                run_training(recipe)
            if split == "train":
                assert run_training(recipe, resume=True, accept_changes=True).steps == 12
                assert "training rows differ" in caplog.text
                assert losses(folder)[:4] == losses(run_with_checkpoints)[:4] != losses(folder)[4:]
                shutil.rmtree(folder)
                unfinished_copy(run_with_checkpoints, folder)
                shutil.rmtree(folder / "checkpoints" / "checkpoint-12")
        finally:
            (data / f"{split}.tsv").write_text(text)


def test_a_recipe_that_was_edited_in_the_folder_is_noticed(run_with_checkpoints, data, tmp_path):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    recipe = toy_recipe(data, folder, *CHECKPOINTS, "training.learning_rate=1e-4")
    recipe.save(folder / "recipe.yaml")
    for resume in (False, True):
        with pytest.raises(ValueError, match=r"training\.learning_rate was 0\.005 and is 0\.0001.*--accept-changes"):
            run_training(recipe, resume=resume)


def test_an_accepted_rate_applies_from_the_checkpoint_on(run_with_checkpoints, data, tmp_path):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "checkpoint-12")
    recipe = toy_recipe(data, folder, *CHECKPOINTS, "training.learning_rate=5e-4")
    assert run_training(recipe, resume=True, accept_changes=True).steps == 12
    old, new = rates(run_with_checkpoints), rates(folder)
    assert new[:4] == old[:4] and new[4:] == pytest.approx([rate / 10 for rate in old[4:]])


def test_old_checkpoints_are_deleted_by_number(pairs, tmp_path):
    checkpoint = "checkpoint={save_steps: 3, save_total_limit: 2, save_only_model: true}"
    run_training(toy_recipe(pairs, tmp_path / "run", checkpoint))
    found = checkpoints(tmp_path / "run")
    assert [path.name for path in found] == ["checkpoint-9", "checkpoint-12"]
    assert not (found[-1] / "optimizer.pt").exists()
    (tmp_path / "run" / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"optimizer\.pt.*checkpoint\.save_only_model.*start_from"):
        run_training(toy_recipe(pairs, tmp_path / "run"), resume=True)


class TestFullDisk:
    """The last good checkpoint survives whatever happens to the next one."""

    @pytest.mark.parametrize(
        "error", [OSError(errno.ENOSPC, "No space left on device"), Exception("No space left on device (os error 28)")]
    )
    def test_an_error_while_writing(self, error, pairs, tmp_path, monkeypatch):
        recipe = toy_recipe(pairs, tmp_path / "run", "checkpoint.save_steps=4")
        save = torch.save

        def full_at_the_second(value, path, *arguments, **keywords):
            if "checkpoint-8" in str(path) and str(path).endswith("scheduler.pt"):
                raise error
            return save(value, path, *arguments, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", full_at_the_second)
            with pytest.raises(OSError, match=r"checkpoint-8.*No space.*checkpoint-4.*resume"):
                run_training(recipe)
        assert names(tmp_path / "run" / "checkpoints") == ["checkpoint-4"]

        resumed = run_training(recipe, resume=True)
        unbroken = run_training(toy_recipe(pairs, tmp_path / "unbroken", "checkpoint.save_steps=4"))
        assert_same(load_weights(resumed.folder), load_weights(unbroken.folder))

    def test_an_error_at_the_first_checkpoint_is_resumed_from_the_beginning(self, pairs, tmp_path, monkeypatch):
        recipe = toy_recipe(pairs, tmp_path / "run")

        def full(*arguments, **keywords):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", full)
            with pytest.raises(OSError, match=r"checkpoint-12.*No space.*resume"):
                run_training(recipe)
        assert run_training(recipe).steps == 12
        assert [step for step, _ in losses(tmp_path / "run")] == [2, 4, 6, 8, 10, 12]

    @pytest.mark.parametrize("empty", [True, False])
    def test_a_folder_that_has_gone_is_not_begun_anew(self, empty, pairs, tmp_path, monkeypatch):
        """The folder was removed, or its network disk is gone and the empty mount point is left."""
        recipe = toy_recipe(pairs, tmp_path / "disk" / "run", "checkpoint.save_steps=4")
        step = RecipeTrainer.training_step

        def unmount(self, *arguments, **keywords):
            if self.state.global_step == 5:
                (tmp_path / "disk").rename(tmp_path / "elsewhere")
                if empty:
                    (tmp_path / "disk" / "run").mkdir(parents=True)
            return step(self, *arguments, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(RecipeTrainer, "training_step", unmount)
            with pytest.raises(OSError, match=r"could not be written.*the folder was removed, or its disk"):
                run_training(recipe)
        assert not list(tmp_path.glob("disk/run/*"))
        shutil.rmtree(tmp_path / "disk", ignore_errors=True)
        (tmp_path / "elsewhere").rename(tmp_path / "disk")
        assert run_training(recipe).steps == 12
        assert [step for step, _ in losses(tmp_path / "disk" / "run")] == [2, 4, 6, 8, 10, 12]

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
    def test_a_real_one(self, pairs, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
            pytest.skip("no tmpfs can be mounted here")
        try:
            checkpoint = "checkpoint={save_steps: 1, save_total_limit: 1000}"
            with pytest.raises(OSError, match=r"No space left|could not be written"):
                run_training(toy_recipe(pairs, disk / "run", checkpoint, "training.max_steps=200"))
            left = checkpoints(disk / "run")
            assert left, "no checkpoint survived"
            AutoModelForSeq2SeqLM.from_pretrained(left[-1])
            torch.load(left[-1] / "optimizer.pt", weights_only=True)
            assert not list((disk / "run" / "checkpoints").glob(".*"))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
