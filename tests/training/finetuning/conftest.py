"""Tiny base models and labelled texts that the tests of fine-tuning share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe, load_finetune_recipe
from hf_vanilla_transformer.training.recipes.reading import as_override

GOOD = ["a good film", "a very good book", "good dogs run", "the good sea", "what a good house", "good good river"]
BAD = ["a bad film", "a very bad book", "bad dogs run", "the bad sea", "what a bad house", "bad bad river"]


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    """A folder with CSV files of 48 training, 12 validation and 12 test rows."""
    folder = tmp_path_factory.mktemp("reviews")
    for split, times in (("train", 4), ("validation", 1), ("test", 1)):
        rows = [f"{text},{label}" for texts, label in ((GOOD, "pos"), (BAD, "neg")) for text in texts * times]
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return folder


def review_recipe(base_model: Path, reviews: Path, output: Path, **fields) -> FinetuneRecipe:
    """A recipe of a few updates on `reviews`; keywords are dotted names with `__`."""
    settings = {
        "base_model": str(base_model),
        "data.path": str(reviews),
        "output.output_dir": str(output),
        "output.plot": False,
        "training.num_train_epochs": 1,
        "training.per_device_train_batch_size": 16,
        **{name.replace("__", "."): value for name, value in fields.items()},
    }
    return load_finetune_recipe(None, [as_override(name, value) for name, value in settings.items()])


@pytest.fixture
def small_recipe(reviews, tmp_path):
    """Returns `review_recipe` for an output folder in `tmp_path`."""

    def make(base_model: Path, **fields) -> FinetuneRecipe:
        return review_recipe(base_model, reviews, tmp_path / "run", **fields)

    return make
