"""The model of a recipe."""

import pytest
from transformers import GenerationConfig

from hf_vanilla_transformer.tokenization import train_tokenizer
from hf_vanilla_transformer.training.model import build_model
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

CHANGES = ["model.config={encoder_layers: 1, decoder_layers: 1, hidden_size: 16, num_attention_heads: 2}"]


@pytest.mark.parametrize("num_beams", [1, 4])
def test_the_generation_settings_of_a_recipe_are_saved(num_beams, tmp_path):
    """Greedy decoding too, with the default length penalty of the recipe, which is for beam search."""
    recipe = load_recipe("wmt14-en-de-base", [*CHANGES, f"generation.num_beams={num_beams}"])
    tokenizer = train_tokenizer(["a b c", "d e f"] * 9, kind="bpe", vocab_size=40, template="seq2seq")
    build_model(recipe, tokenizer).save_pretrained(tmp_path)
    saved = GenerationConfig.from_pretrained(tmp_path)
    assert (saved.num_beams or 1) == num_beams
    assert (saved.length_penalty == 0.6) == (num_beams == 4)
