"""Checkpoints on disk: which there are, which can be resumed, which are kept, and the average of their weights."""

import errno
import json
import os
import shutil
import subprocess

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

from .test_training_run import assert_same, losses
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


@pytest.fixture(scope="module")
def run_with_checkpoints(pairs, tmp_path_factory):
    """A finished run with checkpoints after 4, 8 and 12 updates."""
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    run_training(toy_recipe(pairs, folder, "checkpoint.save_steps=4"))
    return folder


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
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_resumed(
    name, damage, run_with_checkpoints, tmp_path, caplog
):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    file = folder / "checkpoints" / "checkpoint-12" / name
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert newest_resumable(folder).name == "checkpoint-8"
    assert "checkpoint-12" in caplog.text and name in caplog.text


def test_a_run_without_its_newest_checkpoint_ends_as_before(run_with_checkpoints, pairs, tmp_path):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    (folder / "checkpoints" / "checkpoint-12" / "optimizer.pt").unlink()
    recipe = toy_recipe(pairs, folder, "checkpoint.save_steps=4")
    assert run_training(recipe, resume=True).steps == 12
    assert_same(load_weights(folder), load_weights(run_with_checkpoints))
    assert losses(folder) == losses(run_with_checkpoints)


def test_other_training_rows_are_not_resumed(run_with_checkpoints, pairs, tmp_path):
    folder = unfinished_copy(run_with_checkpoints, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "checkpoint-12")
    recipe = toy_recipe(pairs, folder, "checkpoint.save_steps=4")
    shutil.copytree(pairs, tmp_path / "reversed")
    rows = (pairs / "train.tsv").read_text().splitlines()
    (tmp_path / "reversed" / "train.tsv").write_text("\n".join(reversed(rows)) + "\n")
    recipe.data.path = str(tmp_path / "reversed")
    recipe.save(folder / "recipe.yaml")
    with pytest.raises(ValueError, match=r"training rows.*checkpoint-8.*data\.path"):
        run_training(recipe, resume=True)


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
        with pytest.raises(ValueError, match="--resume"):
            run_training(recipe)
        assert run_training(recipe, resume=True).steps == 12
        assert [step for step, _ in losses(tmp_path / "run")] == [2, 4, 6, 8, 10, 12]

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
