"""The fields of a recipe as a list to read: name, type, default, bounds, description."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

import yaml

_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}


def field_list(kind: type) -> str:
    """Every field of a recipe, one after the other, each with its description below it."""
    return "\n".join(_lines(kind, ""))


def field_descriptions(cls: type) -> dict[str, str]:
    """What the string literal below each field of a dataclass says; a subclass inherits what it does not write."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for statement, following in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                found[statement.target.id] = " ".join(following.value.value.split())
    return found


def _lines(cls: type, prefix: str) -> Iterator[str]:
    hints = typing.get_type_hints(cls)
    descriptions = field_descriptions(cls)
    for entry in dataclasses.fields(cls):
        hint = hints[entry.name]
        if dataclasses.is_dataclass(hint):
            yield from _lines(hint, f"{prefix}{entry.name}.")
            continue
        default = entry.default_factory() if entry.default is dataclasses.MISSING else entry.default
        facts = [_kind(hint), *map(str, entry.metadata.get("validator", ()))]
        yield f"{prefix}{entry.name} = {_yaml(default)}    ({', '.join(fact for fact in facts if fact != 'finite')})"
        yield textwrap.fill(descriptions[entry.name], 116, initial_indent="    ", subsequent_indent="    ")


def _kind(hint: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        # `float | int` is one kind of number.
        kinds = [kind for kind in arguments if not (kind is int and float in arguments)]
        return " or ".join(map(_kind, kinds))
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is list:
        return f"list of {'mappings' if typing.get_origin(arguments[0]) is dict else 'texts'}"
    return "mapping" if origin is dict else _WORDS[hint]


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
