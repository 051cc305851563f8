"""From a YAML file and overrides to the dataclasses of a recipe: keys, types and bounds are checked.

A value is read by the type of its field, in a file and on the command line alike: the text of a field that is text
stays as it is written (`no`, `0`, `1e3`), whatever YAML would make of it. `~/` at its beginning is the home
folder.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from ...files import home_expanded, write_text
from ...untrusted_files import read_yaml_text, yaml_node
from ...wording import did_you_mean
from .recipe_kind import check_kind
from .renamed_fields import renamed

RECIPES_FOLDER = Path(__file__).parent

AnyRecipe = typing.TypeVar("AnyRecipe")

_NULL = {"null", "Null", "NULL", "~", ""}
_TRUE = {"true", "yes", "on"}
_FALSE = {"false", "no", "off"}
# YAML 1.1 reads 1e-3 as text, for want of a decimal point.
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


class WritableRecipe:
    """Base class of the dataclass at the root of a recipe: writes it as YAML that `read_recipe` reads."""

    def to_dict(self) -> dict[str, Any]:
        """The recipe as nested dictionaries of plain values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_yaml(self) -> str:
        """The recipe as YAML; `read_recipe` reads it back to an equal recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=100)

    def save(self, path: str | Path) -> None:
        """Writes the recipe to `path` in one step, so that no reader sees half of it."""
        write_text(Path(path), self.to_yaml())


def recipe_names() -> list[str]:
    """Names of the recipes of the package."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.yaml"))


def recipe_file(name_or_path: str | Path) -> Path:
    """The file of a recipe, by its name, its path, or the folder of a run.

    Raises:
        FileNotFoundError: there is no such recipe.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise FileNotFoundError(f"There is no recipe file {path}. Recipes of the package: {recipe_names()}.")
        return path
    if path.is_dir() and (path / "recipe.yaml").is_file():
        return path / "recipe.yaml"
    packaged = RECIPES_FOLDER / f"{name_or_path}.yaml"
    if not packaged.is_file():
        raise FileNotFoundError(
            f"There is no recipe {str(name_or_path)!r}. {nearest(str(name_or_path), recipe_names())}"
        )
    return packaged


def read_recipe(kind: type[AnyRecipe], name_or_path: str | Path | None, overrides: Iterable[str] = ()) -> AnyRecipe:
    """Fills a tree of dataclasses from a recipe file and overrides. Fields are not checked against each other.

    Args:
        kind: the dataclass at the root, such as `Recipe`.
        name_or_path: one of `recipe_names()`, a YAML file, or the folder of a run; None starts from the defaults.
        overrides: `"training.learning_rate=1e-3"`. The value is read by the type of the field: text as it is, numbers,
            true or false (yes, no), and lists, mappings and complete sections as YAML. `null` is no value.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: keys or values are wrong; the message, one line for each, names the nearest key or the legal values.
    """
    root = _Node({}, "")
    if name_or_path is not None:
        path = recipe_file(name_or_path)
        root = _parse(read_yaml_text(path), f" in {path}", str(path))
        if not isinstance(root.content, dict):
            raise ValueError(f"{path} must contain a mapping such as `training: {{max_steps: 1000}}`, not {root}.")
        check_kind(root.plain(), kind, str(path))
    for override in overrides:
        _apply(root, override, kind)
    problems: list[str] = []
    recipe = _build(kind, root, "", kind, problems)
    if problems:
        raise ValueError("\n".join(problems))
    return recipe


def as_override(name: str, value: Any) -> str:
    """`name=value` as `read_recipe` reads it back to `value`."""
    if isinstance(value, str):
        return f"{name}={value}"
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return f"{name}={text.removesuffix('...' + chr(10)).strip()}"


def nearest(name: str, legal: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the nearest legal one, and all of them."""
    legal = sorted(legal)
    return f"{did_you_mean(name, legal)}Valid: {', '.join(legal)}."


def fields_of(kind: type) -> Iterator[tuple[str, dataclasses.Field]]:
    """Every field of a tree of dataclasses with its dotted name, in order."""

    def walk(cls: type, prefix: str) -> Iterator[tuple[str, dataclasses.Field]]:
        hints = typing.get_type_hints(cls)
        for entry in dataclasses.fields(cls):
            if dataclasses.is_dataclass(hints[entry.name]):
                yield from walk(hints[entry.name], f"{prefix}{entry.name}.")
            else:
                yield f"{prefix}{entry.name}", entry

    return walk(kind, "")


@dataclasses.dataclass
class _Node:
    """A value before its type is known.

    Attributes:
        content: the text of a scalar, a list of nodes, or nodes by key.
        where: where it was given, for error messages: `" in FILE"`, or nothing for an override.
        value: a scalar as YAML reads it.
        null: whether a scalar stands for no value.
    """

    content: str | list[_Node] | dict[str, _Node]
    where: str
    value: Any = None
    null: bool = False

    def plain(self) -> Any:
        """The value as YAML reads it."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        return [node.plain() for node in self.content] if isinstance(self.content, list) else self.value

    def __str__(self) -> str:
        return "null" if self.null else repr(self.plain())


def _parse(text: str, where: str, name: str) -> _Node:
    """YAML as nodes.

    Args:
        text: the YAML.
        where: goes into the nodes.
        name: of the text, for errors of syntax.
    """
    loader, root = yaml_node(text, name)
    try:
        return _node(loader, root, where)
    except RecursionError as error:
        raise ValueError(f"{name} has too many lists and mappings inside each other.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _node(loader: yaml.SafeLoader, node: yaml.Node | None, where: str) -> _Node:
    if isinstance(node, yaml.MappingNode):
        written = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"A key{where} is a list or a mapping, in line {key.start_mark.line + 1}.")
            if key.value in written:
                line = key.start_mark.line + 1
                raise ValueError(f"The key {key.value!r} is given twice{where}, the second time in line {line}.")
            written.add(key.value)
        loader.flatten_mapping(node)  # YAML's merge key
        return _Node({str(key.value): _node(loader, value, where) for key, value in node.value}, where)
    if isinstance(node, yaml.SequenceNode):
        return _Node([_node(loader, item, where) for item in node.value], where)
    if node is None:  # an empty text
        return _Node("", where, null=True)
    try:
        value = loader.construct_object(node)
    except ValueError as error:  # such as a date that does not exist
        raise ValueError(f"{node.value!r}{where} cannot be read ({error}): put text in quotes.") from error
    plain = node.style is None
    if plain and isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    return _Node(node.value, where, value, null=plain and value is None)


def _apply(root: _Node, override: str, kind: type) -> None:
    """Sets one `a.b.c=value` in the nodes of a recipe."""
    key, separator, text = override.partition("=")
    names = key.strip().lstrip("-").split(".")
    if not separator or not all(names):
        raise ValueError(f"The override {override!r} must look like training.learning_rate=1e-3.")
    hint: Any = kind
    node = root
    for depth, name in enumerate(names):
        if not isinstance(node.content, dict):
            raise ValueError(f"{'.'.join(names[:depth])!r} is a single value and has no field {name!r}.")
        hint = typing.get_type_hints(hint).get(name) if dataclasses.is_dataclass(hint) else None
        if depth < len(names) - 1:
            below = node.content.get(name)
            if below is None or below.null:
                below = node.content[name] = _Node({}, "")
            node = below
    assert isinstance(node.content, dict)
    node.content[names[-1]] = _given(text, hint, ".".join(names))


def _given(text: str, hint: Any, name: str) -> _Node:
    """The value of an override: YAML for lists, mappings and what has no type, otherwise a scalar as it is written."""
    kind = _without_none(hint)
    origin = typing.get_origin(kind)
    is_list_of_text = kind == list[str]
    structured = kind is None or kind is Any or origin in (list, dict) or dataclasses.is_dataclass(kind)
    if structured and not (is_list_of_text and not text.lstrip().startswith(("[", "{"))):
        return _parse(text, "", f"The value of {name}, {text!r},")
    if kind is str:
        null = type(None) in typing.get_args(hint) and text in _NULL - {""}
    else:
        null = text in _NULL
    scalar = _Node(text, "", None if null else text, null)
    return _Node([scalar], "") if is_list_of_text and not null else scalar


def _build(cls: type, node: _Node, prefix: str, root: type, problems: list[str]) -> Any:
    """Makes the dataclass `cls`, which is `root` or a section of it; adds what is wrong to `problems`."""
    hints = typing.get_type_hints(cls)
    fields = {entry.name: entry for entry in dataclasses.fields(cls)}
    values = {}
    assert isinstance(node.content, dict)
    for key, value in node.content.items():
        name = f"{prefix}{key}"
        try:
            if key not in fields:
                raise ValueError(_unknown(name, [f"{prefix}{name}" for name in fields], value.where, root))
            if not dataclasses.is_dataclass(hints[key]):
                values[key] = _convert(value, hints[key], name)
                for check in fields[key].metadata.get("validator", ()):
                    _check(check, values[key], name, value.where)
                continue
            section = _Node({}, value.where) if value.null else value
            if not isinstance(section.content, dict):
                raise ValueError(f"{name}{value.where} must be a mapping of fields, not {value}.")
            values[key] = _build(hints[key], section, f"{name}.", root, problems)
        except ValueError as error:
            problems.append(str(error))
    return None if problems else cls(**values)


def _check(check: Any, value: Any, name: str, where: str) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"{name}{where} {error}.") from error


def _unknown(name: str, legal: list[str], where: str, root: type) -> str:
    """The message about a key that does not exist: what it is called now, or the nearest key."""
    everywhere = [field for field, _ in fields_of(root)]
    new = renamed(name, {*legal, *everywhere})
    if new is not None:
        return f"{name}{where} is now {new}."
    leaf = name.rpartition(".")[2]
    same_leaf = [field for field in everywhere if field.rpartition(".")[2] == leaf]
    close = difflib.get_close_matches(name, same_leaf or legal, n=1, cutoff=0.0 if same_leaf else 0.6)
    if not close:
        leaves = {field.rpartition(".")[2]: field for field in everywhere}
        close = [leaves[found] for found in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.6)]
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"Unknown key {name!r}{where}. {hint}Valid here: {', '.join(sorted(legal))}."


def _without_none(hint: Any) -> Any:
    """`T` of `T | None`; `float` of `float | int`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return float if float in kinds else kinds[0]
    return hint


def _convert(node: _Node, hint: Any, name: str) -> Any:
    """The value of a node by the type of its field."""
    kind = _without_none(hint)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    content, where = node.content, node.where
    if node.null and type(None) in typing.get_args(hint):
        return None
    if origin is list:
        items = [node] if isinstance(content, str) and not node.null else content
        if not isinstance(items, list):
            raise ValueError(f"{name}{where} must be a list, not {node}.")
        return [_convert(item, arguments[0], f"{name}[{index}]") for index, item in enumerate(items)]
    if origin is dict:
        if not isinstance(content, dict):
            raise ValueError(f"{name}{where} must be a mapping, not {node}.")
        return node.plain()
    expected = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind)
    if isinstance(content, str) and not node.null:
        if origin is Literal and content in arguments:
            return content
        value = _scalar(content, kind)
        if value is not None:
            return value
    if origin is Literal:
        hint_of_name = did_you_mean(str(content), arguments)
        raise ValueError(
            f"{name}{where} must be one of {', '.join(map(repr, arguments))}, not {node}. {hint_of_name}".rstrip()
        )
    raise ValueError(f"{name}{where} must be {expected}, not {node}.")


def _scalar(text: str, kind: Any) -> str | bool | int | float | None:
    """The value of a text by its type; None where it has another type."""
    if kind is str:
        return home_expanded(text)
    if kind is bool:
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if kind is int:  # a whole number may be written as 1e3
        number = _scalar(text, float)
        return int(number) if number is not None and math.isfinite(number) and number == int(number) else None
    return None


__all__ = [
    "WritableRecipe",
    "as_override",
    "fields_of",
    "nearest",
    "read_recipe",
    "recipe_file",
    "recipe_names",
]
