"""An adaptation with weights that are divided among processes does what one process does."""

import json
import shutil

import pytest
import torch

from hf_vanilla_transformer.training.adaptation.adaptation_run import run_adaptation

from ...old_transformers import skipped_before_tested
from ..forked import in_processes
from ..test_training_run import losses
from ..toy import masked_lm_recipe


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("layout", ["fsdp_size", "tp_size"])
def test_every_layout_has_the_curve_and_the_perplexities_of_one_process(layout, masked_base, domain, general, tmp_path):
    # Without dropout, which every process draws from its own generator.
    base = shutil.copytree(masked_base, tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "dropout": 0.0, "attention_dropout": 0.0}))

    def recipe(folder, *more):
        return masked_lm_recipe(
            domain, folder, f"adaptation.base_model={base}", f"adaptation.general.path={general}",
            "adaptation.replay=0.3", "data.hold_out=10", "evaluation.eval_steps=4", "training.logging_steps=1",
            "training.max_steps=8", "model={}", "tokenizer={}", *more,
        )  # fmt: skip

    accumulation = 2 if layout == "fsdp_size" else 1
    run_adaptation(recipe(tmp_path / "one", f"training.gradient_accumulation_steps={accumulation}"))
    divided = recipe(tmp_path / "two", f"distributed.{layout}=2")
    in_processes(lambda: run_adaptation(divided), tmp_path)
    first, second = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [loss for _, loss in second] == pytest.approx([loss for _, loss in first], rel=1e-4)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    for name, value in one.items():
        if name.startswith("validation_") and isinstance(value, float):
            assert two[name] == pytest.approx(value, rel=1e-4), name
