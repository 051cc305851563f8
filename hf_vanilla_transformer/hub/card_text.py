"""card.yaml: the author's part of a model card, saved beside the card so that the card can be generated again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..files import write_text
from ..hub_names import is_hub_name
from ..untrusted_files import read_yaml
from .local_paths import strip_command, strip_path
from .model_card import ModelCardText

_LISTS = ("languages", "datasets", "tags")


def save_card_text(path: Path, text: ModelCardText) -> None:
    """Writes the fields that are set, with local paths stripped."""
    text = dataclasses.replace(
        text, command=strip_command(text.command), base_model=text.base_model and strip_path(text.base_model)
    )
    values = {}
    for field in dataclasses.fields(text):
        value = getattr(text, field.name)
        if value != field.default:
            values[field.name] = list(value) if isinstance(value, tuple) else value
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100))


def load_card_text(path: Path) -> ModelCardText:
    """Reads a card.yaml, written by `save_card_text` or by hand.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: it is not a mapping of the fields of `ModelCardText`; the message names the wrong key.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    values = read_yaml(path)
    known = [field.name for field in dataclasses.fields(ModelCardText)]
    if not isinstance(values, dict) or "name" not in values:
        raise ValueError(f"{path} must be a mapping with at least the key name; valid keys are {', '.join(known)}.")
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{path} has the unknown key {name!r}; valid keys are {', '.join(known)}.")
        if name in _LISTS and not isinstance(value, list):
            raise ValueError(f"{name}={value!r} in {path} must be a list.")
        if name not in _LISTS and not isinstance(value, str):
            raise ValueError(f"{name}={value!r} in {path} must be text; put it in quotes.")
    return ModelCardText(**{name: tuple(value) if name in _LISTS else value for name, value in values.items()})


def changed_card_text(text: ModelCardText, changes: list[str]) -> ModelCardText:
    """Applies changes of the form `FIELD=VALUE`; the items of a list are separated by commas.

    Raises:
        ValueError: a change has no `=` or an unknown field.
    """
    known = [field.name for field in dataclasses.fields(ModelCardText)]
    values: dict[str, object] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in known:
            raise ValueError(f"{change!r} must have the form FIELD=VALUE with one of the fields {', '.join(known)}.")
        values[name] = tuple(part.strip() for part in value.split(",") if part.strip()) if name in _LISTS else value
    return dataclasses.replace(text, **values)


def card_text_of_recipe(
    recipe: Mapping[str, Any], name: str, *, tested: bool = False, run_ended: bool = False
) -> ModelCardText:
    """The card content that follows from a training recipe.

    Args:
        recipe: the recipe as nested dictionaries (its `to_dict()`, or a parsed recipe.yaml).
        name: name of the model.
        tested: whether the model was scored on the test split.
        run_ended: whether the run has just ended in this process. Then a `user/name` without a local path is a name on
            the Hub. Otherwise the local path may have been removed since, so data set and base model are left out.
    """
    data = recipe.get("data") or {}
    path = data.get("path")
    mixture = data.get("mixture") or []
    scored = _source(path, data.get("config")) if path else _source(**_named(mixture[0])) if mixture else ""
    paths = [entry["path"] for entry in mixture] or [path]
    translation = recipe.get("task") == "translation"
    base_model = (recipe.get("model") or {}).get("start_from") if run_ended else None
    if base_model is not None and Path(base_model).exists():
        base_model = Path(base_model).resolve().name
    return ModelCardText(
        name=name,
        summary=" ".join((recipe.get("description") or "").split()),
        languages=(data["source"], data["target"]) if translation and {"source", "target"} <= set(data) else (),
        data=_mixture(mixture) or scored,
        datasets=tuple(name for name in paths if run_ended and is_hub_name(name)),
        test_data=f"the test split of {scored}" if tested and scored else "",
        base_model=base_model,
    )


def _source(path: str, config: str | None) -> str:
    return f"`{strip_path(path)}`" + (f", configuration `{config}`" if config else "")


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": entry["path"], "config": entry.get("config")}


def _mixture(sources: list[Mapping[str, Any]]) -> str:
    """The sources of a mixture with their shares of the tokens, as Markdown."""
    total = sum(float(entry.get("weight", 1)) for entry in sources)
    shares = [float(entry.get("weight", 1)) / total for entry in sources]
    return "; ".join(f"{_source(**_named(entry))}, {share:.0%} of the tokens" for entry, share in zip(sources, shares))
