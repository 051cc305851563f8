"""Rows that are longer than the model are found before the first update, in every split."""

import pytest

from hf_vanilla_transformer.training.training_run import TrainingRun

from .toy import causal_lm_recipe, toy_recipe, write_pairs, write_texts

LONG = "bad " * 80


def prepare(recipe):
    return TrainingRun.prepare(recipe, None)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_long_sentence_to_translate_is_found_before_the_training(split, tmp_path):
    pairs = write_pairs(tmp_path / "pairs")
    with (pairs / f"{split}.tsv").open("a", encoding="utf-8") as file:
        file.write(f"{LONG}\t{LONG}\n")
    recipe = toy_recipe(pairs, tmp_path / "run", "evaluation.predict_with_generate=true")
    with pytest.raises(ValueError, match=rf"source of row 8 of the {split} split.*for 64.*max_position_embeddings"):
        prepare(recipe)
    prepare(toy_recipe(pairs, tmp_path / "run", "model.config.max_position_embeddings=200"))


def test_learned_positions_limit_targets_and_training_rows_too(tmp_path):
    pairs = write_pairs(tmp_path / "pairs")
    learned = ["model.config.position_embedding_type=learned", "data.max_length=200", "data.max_length_ratio=null"]
    with (pairs / "train.tsv").open("a", encoding="utf-8") as file:
        file.write(f"a\t{LONG}\n")
    with pytest.raises(ValueError, match=r"target of row 60 of the train split.*data\.max_length to 64"):
        prepare(toy_recipe(pairs, tmp_path / "run", *learned))
    prepare(toy_recipe(pairs, tmp_path / "run", *learned, "data.max_length=64"))


def test_blocks_of_running_text_fit_learned_positions(tmp_path):
    texts = write_texts(tmp_path / "texts")
    learned = ["model.config.position_embedding_type=learned", "data.max_length=100"]
    for streaming in ("false", "true"):
        more = [f"data.streaming={streaming}", "training.num_train_epochs=null"]
        recipe = causal_lm_recipe(texts, tmp_path / "run", *learned, *more)
        with pytest.raises(ValueError, match=r"max_position_embeddings 100, or lower data\.max_length to 64"):
            prepare(recipe)
