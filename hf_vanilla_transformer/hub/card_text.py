"""card.yaml: what a model's maker said about it, kept beside the card so that the card can be written anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .local_paths import shown, shown_command
from .model_card import ModelCardText, is_hub_name

CARD_TEXT_FILE = "card.yaml"
_LISTS = ("languages", "datasets", "tags")


def save_card_text(path: Path, text: ModelCardText) -> None:
    """Writes what differs from an empty card; paths of this machine are shortened."""
    text = dataclasses.replace(text, command=shown_command(text.command), parent=text.parent and shown(text.parent))
    values = {}
    for field in dataclasses.fields(text):
        value = getattr(text, field.name)
        if value != field.default:
            values[field.name] = list(value) if isinstance(value, tuple) else value
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8")


def load_card_text(path: Path) -> ModelCardText:
    """Reads what `save_card_text` wrote, or somebody wrote by hand.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no mapping of the fields of `ModelCardText`; the message names the wrong one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    known = [field.name for field in dataclasses.fields(ModelCardText)]
    if not isinstance(values, dict) or "name" not in values:
        raise ValueError(f"{path} must be a mapping with at least a name; it may hold {', '.join(known)}.")
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{path} has an unknown key {name!r}; it may hold {', '.join(known)}.")
        if name in _LISTS and not isinstance(value, list):
            raise ValueError(f"{name} in {path} must be a list, not {value!r}.")
        if name not in _LISTS and not isinstance(value, str):
            raise ValueError(f"{name} in {path} must be text, not {value!r}; put it in quotes.")
    return ModelCardText(**{name: tuple(value) if name in _LISTS else value for name, value in values.items()})


def changed_card_text(text: ModelCardText, changes: list[str]) -> ModelCardText:
    """A card's text with `FIELD=VALUE` applied; a list is given with commas.

    Raises:
        ValueError: no `=`, or a field that does not exist.
    """
    known = [field.name for field in dataclasses.fields(ModelCardText)]
    values: dict[str, object] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in known:
            raise ValueError(f"{change!r} must be FIELD=VALUE, with one of the fields {', '.join(known)}.")
        values[name] = tuple(part.strip() for part in value.split(",") if part.strip()) if name in _LISTS else value
    return dataclasses.replace(text, **values)


def card_text_of_recipe(
    recipe: Mapping[str, Any], name: str, *, tested: bool = False, here: bool = False
) -> ModelCardText:
    """What a training recipe says about the model that came of it.

    Args:
        recipe: the recipe as nested dictionaries (its `to_dict()`, or recipe.yaml as it was read).
        name: of the model.
        tested: whether the model was scored on the test split.
        here: whether the run has just ended in this process, so that a `path/name` which does not exist is a name on
            the Hub. Later nobody knows, and neither the data set nor the parent is claimed.
    """
    data = recipe.get("data") or {}
    path = data.get("path")
    mixture = data.get("mixture") or []
    scored = _source(path, data.get("config")) if path else _source(**_named(mixture[0])) if mixture else ""
    paths = [entry["path"] for entry in mixture] or [path]
    translation = recipe.get("task") == "translation"
    parent = (recipe.get("model") or {}).get("start_from") if here else None
    if parent is not None and Path(parent).exists():
        parent = Path(parent).resolve().name
    return ModelCardText(
        name=name,
        summary=" ".join((recipe.get("description") or "").split()),
        languages=(data["source"], data["target"]) if translation and {"source", "target"} <= set(data) else (),
        data=_mixture(mixture) or scored,
        datasets=tuple(name for name in paths if here and is_hub_name(name)),
        test_data=f"the test split of {scored}" if tested and scored else "",
        parent=parent,
    )


def _source(path: str, config: str | None) -> str:
    return f"`{shown(path)}`" + (f", configuration `{config}`" if config else "")


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": entry["path"], "config": entry.get("config")}


def _mixture(sources: list[Mapping[str, Any]]) -> str:
    """The sources of a mixture with their shares of the tokens."""
    total = sum(float(entry.get("weight", 1)) for entry in sources)
    shares = [float(entry.get("weight", 1)) / total for entry in sources]
    return "; ".join(f"{_source(**_named(entry))}, {share:.0%} of the tokens" for entry, share in zip(sources, shares))
