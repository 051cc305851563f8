"""A folder that a command left, read as what is to be published: model, tokenizer, how the run went, what is said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..models.registration import AUTO_CLASSES
from .card_text import CARD_TEXT_FILE, card_text_of_recipe, load_card_text
from .export import export_folder
from .model_card import ModelCardText, write_card
from .run_record import read_results

_CAPTIONS = {
    "curves.png": "Training and validation.",
    "attention.png": "Cross-attention, mean over layers and heads.",
}
RECIPE_FILE = "recipe.yaml"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Publication:
    """What a folder holds that can be published.

    Attributes:
        folder: where it was read.
        model: with the head that was saved.
        tokenizer: None if the folder has none.
        recipe: recipe.yaml; None if there is none.
        metrics: results.json; None if there is none.
        plots: caption to picture.
        files: the run's metrics.jsonl, if there is one.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    recipe: str | None
    metrics: Mapping[str, Any] | None
    plots: Mapping[str, Path]
    files: tuple[Path, ...]

    def write(
        self, target: str | Path, text: ModelCardText, *, card: str | None = None, transformers_class: bool = False
    ) -> Path:
        """Writes the folder to publish. Arguments and errors are those of `export_folder`.

        Args:
            target: the folder to write; an earlier export there is replaced.
            text: what the card says.
            card: the whole text of a finished card instead.
            transformers_class: write the class of transformers that computes the same.
        """
        return export_folder(
            self.model,
            self.tokenizer,
            target,
            card=text if card is None else card,
            recipe=self.recipe,
            metrics=self.metrics,
            plots=self.plots,
            files=self.files,
            transformers_class=transformers_class,
            overwrite=True,
        )

    def write_card(self, path: str | Path, text: ModelCardText) -> Path:
        """Writes the card alone to `path`, its pictures beside it under the card's name. Returns `path`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {caption: f"{path.stem}-{picture.name}" for caption, picture in self.plots.items()}
        for caption, picture in self.plots.items():
            (path.parent / names[caption]).write_bytes(picture.read_bytes())
        return write_card(
            path,
            self.model,
            text,
            recipe=self.recipe,
            metrics=self.metrics,
            plots=names,
            tokenizer=self.tokenizer is not None,
            mask_token=None if self.tokenizer is None else self.tokenizer.mask_token,
        )


def read_publication(folder: str | Path) -> Publication:
    """Reads a folder that `hf-vanilla train`, `demo`, `convert` or `average` made, or `save_pretrained`.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: the model is not of this package, or a weight is missing from its files.
    """
    folder = Path(folder)
    model = _load_model(folder)
    tokenizer = None
    if any((folder / name).is_file() for name in _TOKENIZER_FILES):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    pictures = sorted(folder.glob("*.png"))
    return Publication(
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        recipe=_read_recipe(folder),
        metrics=read_results(folder),
        plots={_CAPTIONS.get(picture.name, picture.stem): picture for picture in pictures},
        files=tuple(path for path in [folder / "metrics.jsonl"] if path.is_file()),
    )


def read_card_text(folder: str | Path) -> ModelCardText:
    """What a folder says about its model: card.yaml, or what can be told from the recipe and the results.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a file that is not what its name says.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    # A run has its finished export, with what the command knew, in a folder of its own.
    for path in (folder / CARD_TEXT_FILE, folder / "model" / CARD_TEXT_FILE):
        if path.is_file():
            return load_card_text(path)
    tree = _parsed_recipe(folder)
    return card_text_of_recipe(tree, folder.resolve().name, tested="test_loss" in (read_results(folder) or {}))


def _read_recipe(folder: Path) -> str | None:
    path = folder / RECIPE_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _parsed_recipe(folder: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(_read_recipe(folder) or "{}")
    except yaml.YAMLError as error:
        raise ValueError(f"{folder / RECIPE_FILE} is not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{folder / RECIPE_FILE} must hold a mapping, not {type(tree).__name__}.")
    return tree


def _load_model(folder: Path) -> PreTrainedModel:
    """The model as the class it was saved as. transformers would only warn of a weight that it had to invent."""
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no model in {folder}: it has no config.json. Give a folder that `hf-vanilla train` or "
            "save_pretrained made."
        )
    config = json.loads(path.read_text(encoding="utf-8"))
    classes = {model.__name__: model for models in AUTO_CLASSES.values() for model in models.values()}
    name = (config.get("architectures") or [None])[0]
    if name not in classes:
        raise ValueError(
            f"The model in {folder} is a {name} (model_type={config.get('model_type')!r}), not one of this package: "
            f"convert it first with `hf-vanilla convert`, or upload it with `hf upload`."
        )
    # Without a dtype, weights in half precision would be published in twice their size.
    model, report = classes[name].from_pretrained(folder, dtype="auto", output_loading_info=True)
    wrong = {key: sorted(report[key]) for key in ("missing_keys", "mismatched_keys", "unexpected_keys") if report[key]}
    if wrong:
        listed = "; ".join(f"{key.replace('_', ' ')}: {', '.join(map(str, names[:5]))}" for key, names in wrong.items())
        raise ValueError(f"The weights in {folder} are not those of a {name} with that config.json ({listed}).")
    return model.eval()
