"""A fine-tuning with weights that are divided among processes does what one process does."""

import json

import pytest
import torch

from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning

from ...old_transformers import skipped_before_tested
from ..forked import in_processes
from ..test_training_run import losses

LAYOUTS = {"FSDP2": {"distributed__fsdp_size": 2}, "TP2": {"distributed__tp_size": 2}}


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("backbone", ["full", "frozen"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_curve_of_one_process(layout, backbone, masked_lm, small_recipe, tmp_path):
    """With dropout off: the processes draw dropout from generators of their own."""
    common = {
        "head__config": {"dropout": 0.0, "attention_dropout": 0.0}, "training__logging_steps": 1,
        "training__per_device_train_batch_size": 4, "training__num_train_epochs": 2, "backbone__train": backbone,
    }  # fmt: skip
    accumulated = {"training__gradient_accumulation_steps": 1 if layout == "TP2" else 2}
    one = run_finetuning(small_recipe(masked_lm, **common, **accumulated, output__output_dir=str(tmp_path / "one")))
    recipe = small_recipe(masked_lm, **common, **LAYOUTS[layout], output__output_dir=str(tmp_path / "two"))
    in_processes(lambda: run_finetuning(recipe), tmp_path)
    first, second = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [step for step, _ in second] == [step for step, _ in first]
    assert [loss for _, loss in second] == pytest.approx([loss for _, loss in first], rel=1e-4)
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    for name in ("validation_loss", "test_loss", "test_accuracy"):
        assert results[name] == pytest.approx(one.metrics[name], rel=1e-4), name


@pytest.mark.parametrize("overrides", [{"backbone__train": "lora"}, {"unfreezing__mode": "gradual"}])
def test_what_was_not_tried_with_divided_weights_is_refused(overrides, small_recipe, tmp_path):
    (field,) = (name.replace("__", ".") for name in overrides)
    with pytest.raises(ValueError, match=f"{field}=.*never tried with weights that are divided"):
        small_recipe(tmp_path, **overrides, **LAYOUTS["FSDP2"])
