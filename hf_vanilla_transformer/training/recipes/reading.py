"""From a YAML file and overrides to the dataclasses of a recipe: every key and every type checked, mistakes named."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from ...files import write_text
from .renamed_fields import renamed

RECIPES_FOLDER = Path(__file__).parent

AnyRecipe = typing.TypeVar("AnyRecipe")


class WritableRecipe:
    """What the dataclass at the root of a recipe inherits: it goes back to YAML as `read_recipe` reads it."""

    def to_dict(self) -> dict[str, Any]:
        """The recipe as nested dictionaries of plain values."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        """The recipe as YAML; `read_recipe` reads it back to an equal recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=100)

    def save(self, path: str | Path) -> None:
        """Writes the recipe to `path`, aside first, then renamed."""
        write_text(Path(path), self.to_yaml())


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.yaml"))


def read_recipe(kind: type[AnyRecipe], name_or_path: str | Path | None, overrides: Iterable[str] = ()) -> AnyRecipe:
    """Fills any tree of dataclasses from a recipe file and overrides; fields are not yet checked against each other.

    Args:
        kind: the dataclass at the root, `Recipe` or that of another command.
        name_or_path: one of `recipe_names()`, a YAML file, or a folder that a run made; None starts from the defaults.
        overrides: ``"training.learning_rate=1e-3"``; the value is read as YAML.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: a key or a value is wrong; the message names the nearest key or the legal values.
    """
    tree: dict[str, Any] = {}
    where = "the recipe"
    if name_or_path is not None:
        path = recipe_file(name_or_path)
        where = str(path)
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ValueError(f"{path} must hold a mapping such as `training: {{max_steps: 1000}}`, not {loaded!r}.")
        tree = loaded
    for override in overrides:
        _apply(tree, override)
    return _build(kind, tree, "", where, kind)


def nearest(name: str, legal: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the nearest legal one, and all of them."""
    legal = sorted(legal)
    close = difflib.get_close_matches(name, legal, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(legal)}."


def fields_of(kind: type) -> Iterator[tuple[str, dataclasses.Field]]:
    """Every field of a tree of dataclasses by its dotted name, in order."""

    def walk(cls: type, prefix: str) -> Iterator[tuple[str, dataclasses.Field]]:
        hints = typing.get_type_hints(cls)
        for entry in dataclasses.fields(cls):
            if dataclasses.is_dataclass(hints[entry.name]):
                yield from walk(hints[entry.name], f"{prefix}{entry.name}.")
            else:
                yield f"{prefix}{entry.name}", entry

    return walk(kind, "")


def recipe_file(name_or_path: str | Path) -> Path:
    """The file of a recipe, by its name, its path, or the folder of a run; FileNotFoundError if there is none."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise FileNotFoundError(f"There is no recipe file {path}. Recipes that come along: {recipe_names()}.")
        return path
    if path.is_dir() and (path / "recipe.yaml").is_file():
        return path / "recipe.yaml"
    packaged = RECIPES_FOLDER / f"{name_or_path}.yaml"
    if not packaged.is_file():
        raise FileNotFoundError(
            f"There is no recipe {str(name_or_path)!r}. {nearest(str(name_or_path), recipe_names())}"
        )
    return packaged


def _apply(tree: dict[str, Any], override: str) -> None:
    """Sets one ``a.b.c=value`` in the tree of a recipe file."""
    key, separator, text = override.partition("=")
    keys = key.strip().lstrip("-").split(".")
    if not separator or not all(keys):
        raise ValueError(f"Override {override!r} must look like training.learning_rate=1e-3.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"The value of {key!r} is not valid YAML: {text!r} ({error}).") from error
    for depth, name in enumerate(keys[:-1]):
        node = tree.setdefault(name, {})
        if node is None:
            node = tree[name] = {}
        if not isinstance(node, dict):
            raise ValueError(f"{'.'.join(keys[: depth + 1])!r} is a single value, it has no field {keys[depth + 1]!r}.")
        tree = node
    tree[keys[-1]] = value


def _build(cls: type, tree: Mapping[str, Any], prefix: str, where: str, root: type) -> Any:
    """Makes the dataclass `cls`, which is `root` or a section of it, from nested mappings; checks keys and types."""
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in tree.items():
        if key not in hints:
            legal = [f"{prefix}{name}" for name in hints]
            new = renamed(f"{prefix}{key}", {*legal, *(name for name, _ in fields_of(root))})
            if new is not None:
                raise ValueError(f"{prefix}{key} in {where} is now {new}.")
            hint = _nearest_key(f"{prefix}{key}", legal, root)
            raise ValueError(f"Unknown key {f'{prefix}{key}'!r} in {where}. {hint}")
        name = f"{prefix}{key}"
        if dataclasses.is_dataclass(hints[key]):
            if value is None:
                value = {}
            if not isinstance(value, Mapping):
                raise ValueError(f"{name!r} in {where} must be a mapping of fields, not {value!r}.")
            values[key] = _build(hints[key], value, f"{name}.", where, root)
        else:
            values[key] = _convert(value, hints[key], name, where)
    return cls(**values)


def _nearest_key(key: str, legal: list[str], root: type) -> str:
    """Like `nearest`, but a key that belongs to another section is found as well."""
    close = difflib.get_close_matches(key, legal, n=1, cutoff=0.6)
    if not close:
        by_leaf = {name.rpartition(".")[2]: name for name, _ in fields_of(root)}
        leaf = difflib.get_close_matches(key.rpartition(".")[2], by_leaf, n=1, cutoff=0.6)
        close = [by_leaf[leaf[0]]] if leaf else []
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid here: {', '.join(sorted(legal))}."


def _convert(value: Any, hint: Any, name: str, where: str) -> Any:
    """Checks `value` against the type `hint`; numbers that YAML reads as text (1e-3) are understood."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _convert(value, inner, name, where)
    if origin is Literal:
        # YAML reads an unquoted `none` as text but `no`, `off` and `~` as something else: say so, never guess.
        if value not in arguments:
            raise ValueError(f"{name} in {where} must be one of {', '.join(map(repr, arguments))}, not {value!r}.")
        return value
    if origin is list:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError(f"{name} in {where} must be a list, not {value!r}.")
        return [_convert(item, arguments[0], f"{name}[{index}]", where) for index, item in enumerate(items)]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{name} in {where} must be a mapping, not {value!r}.")
        return value
    if hint is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif hint is int and not isinstance(value, bool):
        if isinstance(value, int):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.replace("_", "").isdigit():
            return int(value)
    elif (hint is bool and isinstance(value, bool)) or (hint is str and isinstance(value, str)):
        return value
    expected = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]
    raise ValueError(f"{name} in {where} must be {expected}, not {value!r}.")
