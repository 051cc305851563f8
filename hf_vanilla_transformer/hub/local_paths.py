"""Paths of somebody's machine have no place in what is published: a folder is named, not where it lies."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

_LOCAL = re.compile(r"^(/|~|\.\.?/|\.\.?$|[A-Za-z]:[\\/]|file://)")


def is_local_path(text: str) -> bool:
    """Whether a text is a path of this machine by its form: absolute, in the home folder, or starting with a dot."""
    return bool(_LOCAL.match(text)) and not any(character.isspace() for character in text)


def shown(text: str) -> str:
    """The last part of a local path; any other text as it is."""
    if not is_local_path(text):
        return text
    path = PureWindowsPath(text) if re.match(r"[A-Za-z]:[\\/]", text) else PurePosixPath(text.removeprefix("file://"))
    return path.name or text[:1]


def shown_recipe(recipe: str) -> str:
    """A recipe in YAML with local paths shortened. One without such paths is left exactly as it is."""
    tree = yaml.safe_load(recipe)
    short = _shorten(tree)
    return recipe if short == tree else yaml.safe_dump(short, sort_keys=False, allow_unicode=True, width=100)


def shown_command(command: str) -> str:
    """A command line with local paths shortened."""
    try:
        words = shlex.split(command)
    except ValueError:  # several lines, or a quote of the text: nothing that can be taken apart safely
        return command
    short = []
    for word in words:
        name, equals, value = word.rpartition("=")
        short.append(f"{name}{equals}{shown(value)}")
    return command if short == words else shlex.join(short)


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {name: _shorten(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_shorten(entry) for entry in value]
    return value
