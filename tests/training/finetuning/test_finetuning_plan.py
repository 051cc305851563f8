"""The plan of a fine-tuning: its counts equal those of the run, its memory what autograd keeps."""

import json

import pytest
import torch
from torch import nn

from hf_vanilla_transformer.training.finetuning.few_updates import few_updates
from hf_vanilla_transformer.training.finetuning.finetuning_plan import plan
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning
from hf_vanilla_transformer.training.finetuning.task_trainer import RowSampler
from hf_vanilla_transformer.training.finetuning.unfreezing import read_trainable
from hf_vanilla_transformer.training.memory import estimate_memory, size
from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe
from hf_vanilla_transformer.training.trainer import planned_updates

from ...tiny_models import SENTENCES


@pytest.fixture
def reviews(tmp_path):
    rows = [f'"{SENTENCES[n % 6]} {n}",{"pos" if n % 3 else "neg"}\n' for n in range(60)]
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(rows))
    return path


def recipe_for(base_model, reviews, *overrides):
    return load_finetune_recipe(
        None,
        [
            f"base_model={base_model}",
            f"data.path={reviews}",
            "training.per_device_train_batch_size=8",
            "training.num_train_epochs=3",
            *overrides,
        ],
    )


def test_the_plan_agrees_with_the_run(masked_lm, reviews, tmp_path):
    folder = tmp_path / "run"
    recipe = recipe_for(
        masked_lm, reviews, "unfreezing.mode=gradual", f"output.output_dir={folder}", "output.plot=false"
    )
    text = plan(recipe)
    assert not folder.exists()
    assert "54 rows: neg 18, pos 36" in text and "validation     6 rows" in text
    assert "21, 7 per epoch" in text  # 54 rows in batches of 8, three times
    planned = [line.split() for line in text.split("from update")[1].splitlines()[1:]]
    run_finetuning(recipe)
    results = json.loads((folder / "results.json").read_text())
    assert results["steps"] == 21
    happened = read_trainable(folder / "trainable.json")
    assert [(line[0], line[2].rstrip(",")) for line in planned] == [
        (str(entry.step), entry.parts[0]) for entry in happened
    ]
    shares = [" ".join(line).rpartition(") ")[2] for line in planned]
    assert len(shares) == len(happened) == 3
    for line, entry in zip(planned, happened):
        assert f"{entry.parameters:,} of {entry.of:,}" in " ".join(line)


def test_the_number_of_updates():
    for rows, size_, accumulation, expected in ((54, 8, 1, 7), (64, 8, 4, 2), (65, 8, 4, 3), (3, 8, 1, 1)):
        recipe = load_finetune_recipe(
            None,
            [
                f"training.per_device_train_batch_size={size_}",
                f"training.gradient_accumulation_steps={accumulation}",
                "training.num_train_epochs=2.5",
            ],
        )
        per_epoch = len(RowSampler([1] * rows, size_, batches_per_update=accumulation)) // accumulation
        assert per_epoch == expected
        assert planned_updates(recipe.training, per_epoch) == -(-5 * expected // 2)
    assert planned_updates(load_finetune_recipe(None, ["training.max_steps=3"]).training, 1000) == 3


@pytest.mark.parametrize(
    ("overrides", "per_epoch", "epochs"),
    [
        ([], 2, 8),
        (["training.num_train_epochs=1"], 1, 16),
        ([], 3, None),
        (["training.max_steps=3"], 2, None),
        (["training.max_minutes=3"], 2, None),
        (["training.num_train_epochs=null", "training.max_steps=3"], 4, None),
    ],
)
def test_few_updates_have_a_hint_unless_the_user_set_their_number(overrides, per_epoch, epochs):
    hint = few_updates(load_finetune_recipe(None, overrides).training, per_epoch)
    assert (hint is None) if epochs is None else f"--training.num_train_epochs {epochs} (16 updates)" in hint


def test_plans_of_frozen_backbones_windows_and_few_labels(causal_lm, masked_lm, reviews):
    frozen = plan(recipe_for(causal_lm, reviews, "backbone.train=frozen"))
    assert "head" in frozen.splitlines()[-1] and "layer" not in frozen.splitlines()[-1]
    windows = plan(recipe_for(masked_lm, reviews, "text_length.max_tokens=6", "text_length.too_long=window"))
    assert "more rows than texts" in windows and "at most 6" in windows
    few = plan(recipe_for(masked_lm, reviews, "data.max_labels=10", "training.precision=bf16"))
    assert "10 rows of 54 (data.max_labels): neg 5, pos 5" in few
    with pytest.raises(ValueError, match="max_length=6"):
        plan(recipe_for(masked_lm, reviews, "text_length.max_tokens=6", "text_length.too_long=refuse"))


class Small(nn.Module):
    """A model with known activations: the input of each linear layer, and the output of the activation function."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(10, 20), nn.Linear(20, 30)

    def forward(self, x, labels):
        hidden = torch.relu(self.first(x))
        out = self.second(hidden)
        return type("Output", (), {"loss": (out - labels).square().sum()})


def test_memory_equals_a_count_by_hand():
    model = Small()
    row = {"x": torch.randn(1, 7, 10), "labels": torch.randn(1, 7, 30)}

    def batch_of(rows):
        return {name: torch.cat([value] * rows) for name, value in row.items()}

    found = estimate_memory(model, batch_of, rows=5)
    numbers = 10 * 20 + 20 + 20 * 30 + 30
    assert found.weights == 4 * numbers and found.training == 12 * numbers
    # x, the output of relu (which is also the input of the second map), and the difference that is squared.
    assert found.activations == 5 * 7 * 4 * (10 + 20 + 30)
    assert found.total == found.weights + found.training + found.activations and "about" in str(found)
    for parameter in model.first.parameters():
        parameter.requires_grad_(False)
    frozen = estimate_memory(model, batch_of, rows=5)
    assert frozen.training == 12 * (20 * 30 + 30)
    assert frozen.activations == 5 * 7 * 4 * (20 + 30)
    assert model.training and not any(parameter.grad is not None for parameter in model.parameters())


def test_sizes_have_units():
    assert [size(n) for n in (12, 2048, 3 * 2**20, 5 * 2**30)] == ["12 bytes", "2.0 KiB", "3.0 MiB", "5.0 GiB"]
