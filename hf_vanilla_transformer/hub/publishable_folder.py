"""`export_folder`: a folder to publish, with weights, configuration, tokenizer, model code, card and run files.

Transformers' Auto classes load it in a process with this package, or without it by `trust_remote_code=True`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..conversion.embedding_files import EmbeddingFiles
from ..conversion.exporting import padding_note, to_transformers
from ..conversion.saved_model import check_tokenizer
from ..files import folder_aside
from ..models.registration import AUTO_CLASSES
from ..predecessors.registration import PREDECESSOR_CLASSES
from .card_text import save_card_text
from .export_folders import CARD_TEXT_FILE, check_export_folder
from .local_paths import strip_recipe
from .model_card import ModelCardText, write_card


def auto_map(config: PretrainedConfig) -> dict[str, str]:
    """The `auto_map` of a published config.json: Auto class to `file.Class` for configuration, base model and heads.

    Raises:
        ValueError: `config` is not of this package.
    """
    own = [*AUTO_CLASSES, *PREDECESSOR_CLASSES]
    for config_class in own:
        if config.model_type == config_class.model_type:
            return dict(config_class.auto_classes)
    known = ", ".join(config_class.model_type for config_class in own)
    raise ValueError(
        f"model_type={config.model_type!r} is not of this package ({known}); use the model's own save_pretrained."
    )


def export_folder(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: str | Path,
    *,
    card: ModelCardText | str | None = None,
    recipe: Any = None,
    metrics: Mapping[str, Any] | None = None,
    plots: Mapping[str, str | Path] | None = None,
    files: Iterable[str | Path] = (),
    embedding: EmbeddingFiles | None = None,
    transformers_class: bool = False,
    overwrite: bool = False,
) -> Path:
    """Writes a folder that is ready to publish. The folder is complete or does not exist.

    Args:
        model: a model of this package with any head.
        tokenizer: the model's tokenizer, or None.
        folder: the folder to write. An earlier export with the same content stays as it is.
        card: content of the card, or the Markdown text of a finished card.
        recipe: training recipe: an object with `to_yaml()`, or YAML text. Saved as `recipe.yaml` and shown on the card.
        metrics: results of the run, saved as `results.json`. The card shows its scores.
        plots: picture files by caption; copied, and shown on the card.
        files: further files to copy, such as the metrics.jsonl of a run.
        embedding: files of sentence-transformers to copy, which make one vector of a text.
        transformers_class: whether to write the class of transformers that computes the same function
            (`to_transformers`), which needs no remote code.
        overwrite: whether to replace an earlier export.

    Returns:
        The folder.

    Raises:
        ValueError: the model is not of this package, the tokenizer has more entries than the model, the folder is not
            empty, two files have the same name, or no class of transformers computes the same function.
        FileNotFoundError: a plot or file does not exist.
    """
    folder = Path(folder)
    auto_map(model.config)
    check_tokenizer(model, tokenizer)
    pictures = {caption: Path(path) for caption, path in (plots or {}).items()}
    copied = [*pictures.values(), *map(Path, files)]
    _check_copied(copied)
    check_export_folder(folder)
    recipe_text = recipe.to_yaml() if hasattr(recipe, "to_yaml") else recipe
    if recipe_text is not None:
        recipe_text = strip_recipe(recipe_text)
    exported = to_transformers(model) if transformers_class else None

    occupied = f"{folder} has another exported model: choose another folder, or pass overwrite=True (--overwrite)."
    with folder_aside(folder, occupied=None if overwrite else occupied) as aside:
        (model if exported is None else exported).save_pretrained(aside)
        if tokenizer is not None:
            tokenizer.save_pretrained(aside)
            _remove_origin(aside / "tokenizer_config.json")
        if recipe_text is not None:
            (aside / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
        if metrics is not None:
            (aside / "results.json").write_text(json.dumps(dict(metrics), indent=2) + "\n", encoding="utf-8")
        if embedding is not None:
            embedding.copy_to(aside)
        for file in copied:
            shutil.copyfile(file, aside / file.name)
        if isinstance(card, str):
            (aside / "README.md").write_text(card, encoding="utf-8")
        else:
            text = card or ModelCardText(name=folder.name)
            save_card_text(aside / CARD_TEXT_FILE, text)
            write_card(
                aside / "README.md",
                model,
                text,
                recipe=recipe_text,
                metrics=metrics,
                plots={caption: picture.name for caption, picture in pictures.items()},
                exported=exported,
                padding_note="" if exported is None else padding_note(model, exported),
                tokenizer=tokenizer is not None,
                mask_token=None if tokenizer is None else tokenizer.mask_token,
                embedding=embedding is not None,
            )
    return folder


def _remove_origin(path: Path) -> None:
    """Removes the loading options of this process, which transformers writes into tokenizer_config.json."""
    config = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in config.items() if name not in ("is_local", "local_files_only")}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_copied(files: list[Path]) -> None:
    names = [file.name for file in files]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"There is no file {file}: create it before the export, or leave it out.")
        if names.count(file.name) > 1:
            raise ValueError(f"Two files to copy into the folder have the name {file.name}: rename one.")
