"""`train`, `evaluate` and `translate` take a predecessor, and its folder loads without the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from transformers import AutoConfig

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.predecessors.configuration_predecessor import PredecessorConfig
from hf_vanilla_transformer.predecessors.modeling_predecessor import PredecessorForConditionalGeneration
from hf_vanilla_transformer.training.model import build_config, presets
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.split_scores import score_split
from hf_vanilla_transformer.training.training_run import run_training

from ..training.toy import toy_recipe, write_pairs

SIZES = "{hidden_size: 16, encoder_layers: 1, decoder_layers: 1, max_position_embeddings: 64}"


def recipe_for(preset, tmp_path, *overrides):
    data = write_pairs(tmp_path / "data")
    return toy_recipe(data, tmp_path / "run", f"model.preset={preset}", f"model.config={SIZES}", *overrides)


@pytest.mark.parametrize("preset", ["luong", "convs2s", "bytenet"])
def test_a_predecessor_is_trained_scored_and_used(preset, tmp_path, capsys):
    recipe = recipe_for(preset, tmp_path)
    result = run_training(recipe)
    assert result.metrics["test_bleu"] >= 0
    folder = tmp_path / "run" / "model"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "vanilla_predecessor"
    # Everything that a process without the package needs travels with the weights.
    for reference in config["auto_map"].values():
        assert (folder / f"{reference.split('.')[0]}.py").is_file()
    assert f"| architecture | {config.get('architecture', 'recurrent')}:" in (folder / "README.md").read_text(
        encoding="utf-8"
    )
    scores = score_split(recipe, folder, "test")
    assert scores["bleu"] == pytest.approx(result.metrics["test_bleu"])
    assert scores["loss"] == pytest.approx(result.metrics["test_loss"], rel=1e-4)
    capsys.readouterr()
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("a bad cab\nface\n", encoding="utf-8")
    assert main(["translate", str(folder), "--input", str(sentences)]) in (0, None)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_folder_loads_without_the_package(tmp_path):
    PredecessorForConditionalGeneration(
        PredecessorConfig.bahdanau(hidden_size=8, vocab_size=11, encoder_layers=1, decoder_layers=1)
    ).save_pretrained(tmp_path / "model")
    # In isolated mode, the package of this checkout is not on the path; where it is installed, nothing imports it.
    code = (
        "import sys, torch\n"
        "from transformers import AutoModelForSeq2SeqLM\n"
        "model = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "assert not any(name.split('.')[0] == 'hf_vanilla_transformer' for name in sys.modules)\n"
        "print(type(model).__name__, model.generate(torch.tensor([[3, 4, 2]]), max_new_tokens=3).shape[0])\n"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "model")],
        capture_output=True, text=True, env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
    )  # fmt: skip
    assert result.stdout.split() == ["PredecessorForConditionalGeneration", "1"], result.stderr


def test_an_unknown_field_or_preset_is_named(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'encoder_layers'"):
        run_training(recipe_for("luong", tmp_path, "model.config={encoder_layer: 1}"))
    with pytest.raises(ValueError, match="bytenett"):
        run_training(recipe_for("bytenett", tmp_path))
    assert not (tmp_path / "run").exists()


def test_the_registered_config_is_known():
    assert AutoConfig.for_model("vanilla_predecessor").architecture == "recurrent"


@pytest.mark.parametrize("preset", presets(PredecessorConfig))
def test_the_recipe_takes_every_preset(preset):
    recipe = load_recipe("multi30k-en-de-predecessor", [f"model.preset={preset}"])
    config = build_config(recipe, {"vocab_size": recipe.tokenizer.vocab_size})
    assert (
        config.hidden_size == 160
        and config.to_dict()
        == getattr(PredecessorConfig, preset)(**recipe.model.config, vocab_size=recipe.tokenizer.vocab_size).to_dict()
    )
