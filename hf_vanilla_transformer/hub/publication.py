"""Read a model folder for publishing: model, tokenizer, recipe, results, pictures and card content."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..conversion.embedding_files import EmbeddingFiles, embedding_files
from ..conversion.saved_model import check_tokenizer, load_saved_model, load_saved_tokenizer
from ..files import check_inside, file_aside
from ..untrusted_files import parsed_yaml, read_yaml_text
from .card_text import card_text_of_recipe, load_card_text
from .export_folders import CARD_TEXT_FILE
from .model_card import ModelCardText, write_card
from .publishable_folder import export_folder
from .run_record import RESULTS_FILE, read_results

_CAPTIONS = {
    "curves.png": "Training and validation.",
    "attention.png": "Cross-attention, mean over layers and heads.",
}
RECIPE_FILE = "recipe.yaml"
_HISTORY_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class Publication:
    """The publishable content of a folder.

    Attributes:
        folder: the folder.
        model: the model with its saved head.
        tokenizer: the tokenizer, or None.
        recipe: content of recipe.yaml, or None.
        metrics: content of results.json, or None.
        plots: pictures by caption.
        files: the run's metrics.jsonl, if it exists.
        embedding: files of sentence-transformers, or None.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    recipe: str | None
    metrics: Mapping[str, Any] | None
    plots: Mapping[str, Path]
    files: tuple[Path, ...]
    embedding: EmbeddingFiles | None = None

    def write(
        self, target: str | Path, text: ModelCardText, *, card: str | None = None, transformers_class: bool = False
    ) -> Path:
        """Writes the folder to publish. Arguments and errors are those of `export_folder`.

        Args:
            target: the folder to write; an earlier export is replaced.
            text: content of the card.
            card: text of a finished card instead.
            transformers_class: whether to write the class of transformers that computes the same function.
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
            embedding=self.embedding,
            transformers_class=transformers_class,
            overwrite=True,
        )

    def write_card(self, path: str | Path, text: ModelCardText) -> Path:
        """Writes only the card to `path`, and its pictures beside it, prefixed with the card's name. Returns `path`."""
        path = Path(path)
        names = {caption: f"{path.stem}-{picture.name}" for caption, picture in self.plots.items()}
        for caption, picture in self.plots.items():
            with file_aside(path.parent / names[caption]) as aside:
                shutil.copyfile(picture, aside)
        return write_card(
            path,
            self.model,
            text,
            recipe=self.recipe,
            metrics=self.metrics,
            plots=names,
            tokenizer=self.tokenizer is not None,
            mask_token=None if self.tokenizer is None else self.tokenizer.mask_token,
            embedding=self.embedding is not None,
        )


def read_publication(folder: str | Path) -> Publication:
    """Reads a folder written by `hf-vanilla train`, `demo`, `convert` or `average`, or by `save_pretrained`.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: the model is not of this package, its weights are incomplete, its tokenizer has more entries than
            the model, or a file to publish is a link to a place outside of the folder.
    """
    folder = Path(folder)
    pictures = sorted(folder.glob("*.png"))
    embedding = embedding_files(folder)
    copied = (RECIPE_FILE, RESULTS_FILE, CARD_TEXT_FILE, _HISTORY_FILE, *(embedding.names if embedding else ()))
    check_inside(folder, [*pictures, *(folder / name for name in copied)])
    model, tokenizer = load_saved_model(folder), load_saved_tokenizer(folder)
    check_tokenizer(model, tokenizer)
    return Publication(
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        recipe=_read_recipe(folder),
        metrics=read_results(folder),
        plots={_CAPTIONS.get(picture.name, picture.stem): picture for picture in pictures},
        files=tuple(path for path in [folder / _HISTORY_FILE] if path.is_file()),
        embedding=embedding,
    )


def read_card_text(folder: str | Path) -> ModelCardText:
    """The card content of a folder: from card.yaml, else from the recipe and the results.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: a file has invalid content.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = f"{folder} is a file" if folder.exists() else f"There is no folder {folder}"
        raise FileNotFoundError(f"{what}: give a folder written by `hf-vanilla train` or save_pretrained.")
    # A run has its exported model in a subfolder; its card.yaml has the training command.
    for path in (folder / CARD_TEXT_FILE, folder / "model" / CARD_TEXT_FILE):
        if path.is_file():
            return load_card_text(path)
    tree = _parsed_recipe(folder)
    return card_text_of_recipe(tree, folder.resolve().name, tested="test_loss" in (read_results(folder) or {}))


def _read_recipe(folder: Path) -> str | None:
    path = folder / RECIPE_FILE
    return read_yaml_text(path) if path.is_file() else None


def _parsed_recipe(folder: Path) -> dict[str, Any]:
    tree = parsed_yaml(_read_recipe(folder) or "{}", str(folder / RECIPE_FILE))
    if not isinstance(tree, dict):
        raise ValueError(f"{folder / RECIPE_FILE} must contain a mapping, not {type(tree).__name__}.")
    return tree
