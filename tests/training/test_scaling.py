"""The formulas of memory agree with what processes keep; those of communication with the papers."""

import re
from pathlib import Path

import pytest
import torch

from hf_vanilla_transformer.models.configuration_vanilla import VanillaTransformerConfig
from hf_vanilla_transformer.models.modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.scaling import scaling_estimate, state_bytes
from hf_vanilla_transformer.training.trainer import RecipeTrainer

from ..old_transformers import skipped_before_tested
from .forked import in_processes
from .toy import causal_lm_recipe, masked_lm_recipe, toy_recipe

MAKE = {"transformer": toy_recipe, "encoder": masked_lm_recipe, "decoder": causal_lm_recipe}


@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("layout", ["DDP", "FSDP2", "TP"])
@pytest.mark.parametrize(
    "stack",
    [pytest.param("transformer", marks=pytest.mark.slow), "encoder", pytest.param("decoder", marks=pytest.mark.slow)],
)
def test_a_process_keeps_what_the_formula_says(stack, layout, pairs, texts, tmp_path, monkeypatch):
    original = RecipeTrainer.training_step
    seen = []

    def training_step(self, *arguments, **keywords):
        loss = original(self, *arguments, **keywords)
        if self.state.global_step == 1:
            whole = self.model if self.sharded is None else self.sharded.whole
            optimizer = self.optimizer.optimizer
            seen.append((state_bytes(optimizer), scaling_estimate(whole, layout, 2).state_bytes))
        return loss

    monkeypatch.setattr(RecipeTrainer, "training_step", training_step)
    size = {"DDP": "distributed={}", "FSDP2": "distributed.fsdp_size=2", "TP": "distributed.tp_size=2"}[layout]
    make, data = MAKE[stack], pairs if stack == "transformer" else texts
    recipe = make(data, tmp_path / "run", size, "training.max_steps=2")

    def run():
        run_training(recipe)
        ((measured, expected),) = seen
        # Vocabularies of an odd size leave one process a row more.
        assert measured == pytest.approx(expected, rel=0.01)

    in_processes(run, tmp_path)


def test_communication_is_that_of_the_papers():
    model = torch.nn.Linear(1000, 100, bias=False)
    ddp, fsdp = (scaling_estimate(model, layout, 8) for layout in ("DDP", "FSDP2"))
    assert fsdp.sent_bytes == 1.5 * ddp.sent_bytes
    assert ddp.sent_bytes == 2 * 7 / 8 * 4 * 100_000
    assert fsdp.state_bytes * 8 == ddp.state_bytes == 16 * 100_000


def test_the_table_of_the_page_is_what_the_formulas_give():
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| (base|big) \| ([\d.]+) M \| (\d+) \| (\w+) \| ([\d.]+) \| ([\d.]+) \|", page)
    assert len(rows) == 8
    with torch.device("meta"):
        models = {
            name: VanillaTransformerForConditionalGeneration(getattr(VanillaTransformerConfig, name)())
            for name in ("base", "big")
        }
    for name, parameters, processes, layout, kept, sent in rows:
        estimate = scaling_estimate(models[name], layout, int(processes))
        found = (estimate.parameters / 1e6, estimate.state_bytes / 1e9, estimate.sent_bytes / 1e9)
        assert (parameters, kept, sent) == tuple(f"{value:.{places}f}" for value, places in zip(found, (1, 3, 3)))
    for name, gigabytes in (("base", "10.9"), ("big", "21.9")):
        sent = scaling_estimate(models[name], "TP", 8, tokens=2 * 25_000).sent_bytes
        assert f"{sent / 1e9:.1f}" == gigabytes and f"{gigabytes} GB ({name})" in page
