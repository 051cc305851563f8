"""Averages of weights, on disk and in memory."""

import errno

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hf_vanilla_transformer.training import averaging
from hf_vanilla_transformer.training.averaging import WeightAverage, average_checkpoints, checkpoints, save_average


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

    monkeypatch.setattr(averaging, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_average(paths[:1], tmp_path / "averaged")
    assert torch.equal(load_file(tmp_path / "averaged" / "model.safetensors")["weight"], torch.full((2, 2), 2.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["averaged", "checkpoints"]


def test_what_cannot_be_averaged_is_named(tmp_path):
    write_checkpoint(tmp_path, 1, 1)
    with pytest.raises(FileNotFoundError, match="has 1 checkpoints, so the last 5"):
        average_checkpoints(tmp_path, last=5)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        average_checkpoints(tmp_path, last=0)
    write_checkpoint(tmp_path, 2, 1, name="other")
    with pytest.raises(ValueError, match=r"not of the same model.*other"):
        average_checkpoints(tmp_path, last=2)


@pytest.fixture
def module():
    return nn.Linear(2, 1, bias=False)


def fill(module, value):
    with torch.no_grad():
        module.weight.fill_(value)


def test_the_mean_of_the_last_snapshots(module):
    average = WeightAverage(module, "last", last=2)
    with pytest.raises(ValueError, match="no snapshot"):
        average.weights()
    for value in (1.0, 2.0, 6.0):
        fill(module, value)
        average.update()
    assert torch.equal(average.weights()["weight"], torch.full((1, 2), 4.0))


def test_the_moving_average_is_not_biased_to_its_start(module):
    average = WeightAverage(module, "ema", decay=0.9)
    fill(module, 3.0)
    average.update()
    torch.testing.assert_close(average.weights()["weight"], torch.full((1, 2), 3.0))
    fill(module, 5.0)
    average.update()
    torch.testing.assert_close(average.weights()["weight"], torch.full((1, 2), (0.9 * 3 + 5) / 1.9))


@pytest.mark.parametrize("kind", ["last", "ema"])
def test_an_average_is_applied_for_a_while_and_goes_on_after_a_resume(module, kind):
    average = WeightAverage(module, kind, last=2, decay=0.5)
    for value in (1.0, 2.0):
        fill(module, value)
        average.update()
    before = module.weight.detach().clone()
    with average.applied():
        inside = module.weight.detach().clone()
    assert torch.equal(module.weight, before) and not torch.equal(inside, before)

    resumed = WeightAverage(module, kind, last=2, decay=0.5)
    resumed.load_state_dict(average.state_dict())
    fill(module, 7.0)
    average.update()
    resumed.update()
    assert torch.equal(average.weights()["weight"], resumed.weights()["weight"])
