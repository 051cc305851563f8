"""A process that stops or dies ends the run of the others within the timeout, with its name."""

import os
import time

import pytest
import torch

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.trainer import RecipeTrainer

from ..old_transformers import skipped_before_tested
from .forked import in_processes
from .toy import causal_lm_recipe


@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize(("layout", "end"), [
    ("distributed={}", "stops"),
    pytest.param("distributed={}", "dies", marks=pytest.mark.slow),
    pytest.param("distributed.fsdp_size=2", "stops", marks=pytest.mark.slow),
    pytest.param("distributed.tp_size=2", "dies", marks=pytest.mark.slow),
])  # fmt: skip
def test_the_process_that_is_missing_is_named(layout, end, texts, tmp_path, monkeypatch):
    original = RecipeTrainer.training_step

    def training_step(self, *arguments, **keywords):
        if os.environ["RANK"] == "1" and self.state.global_step == 3:
            time.sleep(4 if end == "stops" else 0)
            os._exit(0)
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(RecipeTrainer, "training_step", training_step)
    recipe = causal_lm_recipe(texts, tmp_path / "run", layout, f"distributed.timeout_minutes={2 / 60}")

    def run():
        with pytest.raises(TimeoutError, match=r"Rank 0 waited in vain .* rank 1 \(update 3 on \S+ with process id"):
            run_training(recipe)

    in_processes(run, tmp_path)
