"""The recipes that train for days: they load, build the full-size model, and make one update on sampled sentences."""

import pytest
import torch

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.model import CLASSES, build_config
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

SIZES = {
    "wmt14-en-de-base": 65e6,
    "wmt14-en-fr-big": 213e6,
    "bert-base-wikipedia": 110e6,
    "gpt2-small-openwebtext": 124e6,
}


@pytest.mark.parametrize(("name", "parameters"), SIZES.items())
def test_models_have_the_sizes_of_the_papers(name, parameters):
    recipe = load_recipe(name)
    config = build_config(recipe, {"vocab_size": recipe.tokenizer.vocab_size})
    with torch.device("meta"):
        model = CLASSES[recipe.task][1](config)
    assert model.num_parameters() == pytest.approx(parameters, rel=0.05)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    "width", [pytest.param("narrow"), pytest.param("full", marks=pytest.mark.slow)], ids=["narrow", "full"]
)
def test_one_update_on_sampled_sentences(name, width, pairs, texts, tmp_path):
    """The recipe is unchanged except for the data, the size of a batch and the number of updates."""
    recipe = load_recipe(name)
    translation = recipe.task == "translation"
    vocab_size = 280 if recipe.tokenizer.kind == "byte_bpe" else 70
    changes = [
        f"data.path={pairs if translation else texts}", "data.config=null", "data.max_rows=16",
        f"tokenizer.vocab_size={vocab_size}", "training.max_steps=1", "training.logging_steps=1",
        "training.tokens_per_batch=128", "training.gradient_accumulation_steps=1", "training.precision=fp32",
        "evaluation.eval_steps=null", "checkpoint={save_steps: null, save_total_limit: 1, average_last: 0}",
        "data.test=[]",
        "generation.max_extra_tokens=2", f"output.output_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    if not translation:
        changes.append("data.max_length=32")
    if width == "narrow":
        changes += ["model.config.hidden_size=32", "model.config.intermediate_size=64"]
        heads = "model.config.num_attention_heads=4"
        depth = ["encoder_layers", "decoder_layers"] if translation else ["num_hidden_layers"]
        changes += [heads, *(f"model.config.{field}=1" for field in depth)]
    result = run_training(load_recipe(name, changes))
    assert result.steps == 1 and result.metrics["validation_loss"] > 0
