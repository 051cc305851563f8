"""Strip local paths from published files: only the last part of a path remains."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from ..untrusted_files import parsed_yaml

_LOCAL = re.compile(r"^(/|~|\.\.?/|\.\.?$|[A-Za-z]:[\\/]|file://)")


def is_local_path(text: str) -> bool:
    """Whether `text` has the form of a local path: absolute, below the home folder, or starting with a dot."""
    return bool(_LOCAL.match(text)) and not any(character.isspace() for character in text)


def strip_path(text: str) -> str:
    """The last part of a local path; any other text unchanged."""
    if not is_local_path(text):
        return text
    path = PureWindowsPath(text) if re.match(r"[A-Za-z]:[\\/]", text) else PurePosixPath(text.removeprefix("file://"))
    return path.name or text[:1]


def strip_recipe(recipe: str) -> str:
    """A YAML recipe with stripped local paths. A recipe without local paths is returned unchanged."""
    tree = parsed_yaml(recipe, "The recipe")
    stripped = _strip_tree(tree)
    return recipe if stripped == tree else yaml.safe_dump(stripped, sort_keys=False, allow_unicode=True, width=100)


def strip_command(command: str) -> str:
    """A command line with stripped local paths."""
    try:
        words = shlex.split(command)
    except ValueError:  # several lines or an unbalanced quote cannot be split safely
        return command
    stripped = []
    for word in words:
        name, equals, value = word.rpartition("=")
        stripped.append(f"{name}{equals}{strip_path(value)}")
    return command if stripped == words else shlex.join(stripped)


def _strip_tree(value: Any) -> Any:
    if isinstance(value, str):
        return strip_path(value)
    if isinstance(value, dict):
        return {name: _strip_tree(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_strip_tree(entry) for entry in value]
    return value
