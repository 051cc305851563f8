"""A fine-tuning on two processes does what one process with accumulation does."""

import json

import pytest
import torch

from hf_vanilla_transformer.training.checkpoints import checkpoints
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning

from ..test_processes import launch
from ..test_training_run import losses


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
def test_two_processes_and_accumulation_have_the_same_curve(masked_lm, small_recipe, tmp_path):
    """With dropout off: the processes draw dropout from generators of their own."""
    common = {
        "head__config": {"dropout": 0.0, "attention_dropout": 0.0}, "training__logging_steps": 1,
        "training__per_device_train_batch_size": 4, "training__num_train_epochs": 2, "evaluation__patience": 5,
    }  # fmt: skip
    accumulated = {"training__gradient_accumulation_steps": 2, "output__output_dir": str(tmp_path / "one")}
    one = run_finetuning(small_recipe(masked_lm, **common, **accumulated))
    printed = launch(
        small_recipe(masked_lm, **common, output__output_dir=str(tmp_path / "two")), tmp_path, command="finetune"
    )
    first, second = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [step for step, _ in second] == list(range(1, 13))
    assert [loss for _, loss in second] == pytest.approx([loss for _, loss in first], rel=1e-4)
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    for name in ("validation_loss", "test_loss", "test_accuracy"):
        assert results[name] == pytest.approx(one.metrics[name], rel=1e-4), name
    assert printed.count("evaluation at 12") == 1
    assert not checkpoints(tmp_path / "two")
