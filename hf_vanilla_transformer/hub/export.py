"""A folder to publish: weights, configuration, tokenizer, the code of the model, a card, and what belongs to the run.

Such a folder loads with transformers' Auto classes in a process that has this package, and, with
`trust_remote_code=True`, in one that has not.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from .. import models
from ..models.registration import AUTO_CLASSES
from .model_card import ModelCardText, write_card

# The folder of the code that travels; `registration` is for processes that have the package.
_CODE_FOLDER = Path(models.__file__).parent
_CODE_FILES = "*_vanilla*.py"
# What makes an existing folder one that `export_folder` may replace: it wrote these three.
_MARKS = ("config.json", "README.md", "configuration_vanilla.py")


def auto_map(config: PretrainedConfig) -> dict[str, str]:
    """Which class of which file each Auto class finds: the configuration, the base model and every head of the stack.

    `save_pretrained` would name only the class that is saved, so that a published masked language model could not be
    loaded as a plain encoder.

    Raises:
        ValueError: `config` is not of this package.
    """
    for config_class, classes in AUTO_CLASSES.items():
        if config.model_type == config_class.model_type:
            entries = {"AutoConfig": config_class, **classes}
            return {auto: f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}" for auto, cls in entries.items()}
    known = ", ".join(config_class.model_type for config_class in AUTO_CLASSES)
    raise ValueError(
        f"A configuration of model_type {config.model_type!r} is not of this package ({known}); "
        "use the model's own save_pretrained."
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
    overwrite: bool = False,
) -> Path:
    """Writes a folder that can be published as it is. It is written aside, then renamed: whole, or not there.

    Args:
        model: a model of this package, with any head.
        tokenizer: its tokenizer; None for a model that reads no text.
        folder: where the folder shall be.
        card: what the card says, or the whole text of a finished card.
        recipe: how the model was trained: a recipe (anything with `to_yaml()`) or YAML text; saved as `recipe.yaml` and
            shown on the card.
        metrics: scores, saved as `results.json`; the numbers among them are shown on the card.
        plots: caption to picture file; copied, and shown on the card.
        overwrite: replace an earlier export.

    Returns:
        The folder.

    Raises:
        ValueError: the model is not of this package, the tokenizer has more entries than the model, the folder holds
            something, or two plots have the same file name.
        FileNotFoundError: a plot that is not there.
    """
    folder = Path(folder)
    code_map = auto_map(model.config)
    _check_tokenizer(model, tokenizer)
    pictures = _check_plots(plots or {})
    _check_target(folder, overwrite)
    recipe_text = recipe.to_yaml() if hasattr(recipe, "to_yaml") else recipe

    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        model.save_pretrained(aside)
        _complete_config(aside / "config.json", code_map)
        for code in sorted(_CODE_FOLDER.glob(_CODE_FILES)):
            shutil.copyfile(code, aside / code.name)
        if tokenizer is not None:
            tokenizer.save_pretrained(aside)
        if recipe_text is not None:
            (aside / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
        if metrics is not None:
            (aside / "results.json").write_text(json.dumps(dict(metrics), indent=2) + "\n", encoding="utf-8")
        for picture in pictures.values():
            shutil.copyfile(picture, aside / picture.name)
        if isinstance(card, str):
            (aside / "README.md").write_text(card, encoding="utf-8")
        else:
            write_card(
                aside / "README.md",
                model,
                card or ModelCardText(name=folder.name),
                recipe=recipe_text,
                metrics=metrics,
                plots={caption: picture.name for caption, picture in pictures.items()},
            )
        os.chmod(aside, 0o755)
        _replace(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def _check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
    if tokenizer is not None and len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"The tokenizer has {len(tokenizer)} entries, the model only {model.config.vocab_size}: this is another "
            "model's tokenizer, or model.resize_token_embeddings(len(tokenizer)) is missing."
        )


def _check_plots(plots: Mapping[str, str | Path]) -> dict[str, Path]:
    pictures = {caption: Path(path) for caption, path in plots.items()}
    names = [picture.name for picture in pictures.values()]
    for picture in pictures.values():
        if not picture.is_file():
            raise FileNotFoundError(f"There is no plot {picture}: draw it before the export, or leave it out.")
        if names.count(picture.name) > 1:
            raise ValueError(f"Two plots are called {picture.name}, and both would lie in one folder: rename one.")
    return pictures


def _check_target(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, where a folder shall be written: choose another name.")
    if not any(folder.iterdir()):
        return
    exported = all((folder / name).is_file() for name in _MARKS)
    if not exported:
        raise ValueError(f"{folder} holds something else than an exported model: choose another folder.")
    if not overwrite:
        raise ValueError(f"{folder} holds an exported model: choose another folder, or pass overwrite=True.")


def _complete_config(path: Path, code_map: dict[str, str]) -> None:
    """Writes the whole map into the saved file, so that the configuration in memory stays as it is."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["auto_map"] = code_map
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _replace(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; what was there goes only when the new folder stands in its place."""
    if not folder.exists():
        os.replace(new, folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old)
