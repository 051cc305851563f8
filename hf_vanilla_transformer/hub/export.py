"""A folder to publish: weights, configuration, tokenizer, the code of the model, a card, and what belongs to the run.

Such a folder loads with transformers' Auto classes in a process that has this package, and, with
`trust_remote_code=True`, in one that has not.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..models.registration import AUTO_CLASSES
from .card_text import CARD_TEXT_FILE, save_card_text
from .local_paths import shown_recipe
from .model_card import ModelCardText, write_card

# What makes an existing folder one that `export_folder` may replace: it wrote the first two and one of the others.
_MARKS = ("config.json", "README.md")
_OTHER_MARKS = ("configuration_vanilla.py", CARD_TEXT_FILE)


def auto_map(config: PretrainedConfig) -> dict[str, str]:
    """Which class of which file each Auto class finds: the configuration, the base model and every head of the stack.

    Raises:
        ValueError: `config` is not of this package.
    """
    for config_class in AUTO_CLASSES:
        if config.model_type == config_class.model_type:
            return dict(config_class.auto_classes)
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
    files: Iterable[str | Path] = (),
    transformers_class: bool = False,
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
        files: more files to copy, such as the metrics.jsonl of a run.
        transformers_class: write the class of transformers that computes the same (`to_transformers`); it needs no
            code of ours.
        overwrite: replace an earlier export.

    Returns:
        The folder.

    Raises:
        ValueError: the model is not of this package, the tokenizer has more entries than the model, the folder holds
            something, two plots have the same file name, or no class of transformers computes the same.
        FileNotFoundError: a plot or a file that is not there.
    """
    folder = Path(folder)
    auto_map(model.config)
    _check_tokenizer(model, tokenizer)
    pictures = {caption: Path(path) for caption, path in (plots or {}).items()}
    copied = [*pictures.values(), *map(Path, files)]
    _check_copied(copied)
    _check_target(folder, overwrite)
    recipe_text = recipe.to_yaml() if hasattr(recipe, "to_yaml") else recipe
    if recipe_text is not None:
        recipe_text = shown_recipe(recipe_text)
    saved = _to_transformers(model) if transformers_class else model

    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        saved.save_pretrained(aside)
        if tokenizer is not None:
            tokenizer.save_pretrained(aside)
            _forget_origin(aside / "tokenizer_config.json")
        if recipe_text is not None:
            (aside / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
        if metrics is not None:
            (aside / "results.json").write_text(json.dumps(dict(metrics), indent=2) + "\n", encoding="utf-8")
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
                exported=saved if transformers_class else None,
                padding_note=_padding_note(model, saved) if transformers_class else "",
                tokenizer=tokenizer is not None,
                mask_token=None if tokenizer is None else tokenizer.mask_token,
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


def _forget_origin(path: Path) -> None:
    """Takes out where this process had the tokenizer from, which transformers writes into its configuration."""
    config = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in config.items() if name not in ("is_local", "local_files_only")}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _to_transformers(model: PreTrainedModel) -> PreTrainedModel:
    # Only those who ask for it wait for the tables of all families.
    from ..conversion import to_transformers

    return to_transformers(model)


def _padding_note(model: PreTrainedModel, exported: PreTrainedModel) -> str:
    from ..conversion.exporting import padding_note

    return padding_note(model, exported)


def _check_copied(files: list[Path]) -> None:
    names = [file.name for file in files]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"There is no {file}: make it before the export, or leave it out.")
        if names.count(file.name) > 1:
            raise ValueError(f"Two files are called {file.name}, and both would lie in one folder: rename one.")


def _check_target(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, where a folder shall be written: choose another name.")
    if not any(folder.iterdir()):
        return
    exported = all((folder / name).is_file() for name in _MARKS) and any(
        (folder / name).is_file() for name in _OTHER_MARKS
    )
    if not exported:
        raise ValueError(f"{folder} holds something else than an exported model: choose another folder.")
    if not overwrite:
        raise ValueError(f"{folder} holds an exported model: choose another folder, or pass overwrite=True.")


def _replace(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; what was there goes only when the new folder stands in its place."""
    if not folder.exists():
        os.replace(new, folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old)
