"""JSON and YAML files that may come from anybody: of limited size and depth, and with errors that name the file.

A small file can describe a huge value: brackets in brackets exhaust the stack of the parser, and aliases of YAML that
refer to aliases double with each line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

# A tokenizer.json of 250,000 entries has 20 MB, the index of a model with 10,000 shards 100.
_MOST_BYTES_OF_JSON = 200 << 20
# The recipes and cards of people have some kilobytes.
_MOST_BYTES_OF_YAML = 1 << 20
_MOST_VALUES_OF_YAML = 100_000


def read_json(path: Path, remedy: str = "download or write it again") -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        remedy: what the error recommends if the file is damaged.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is not JSON, not UTF-8, too large or nested too deeply; the message names it.
    """
    _check_size(path, _MOST_BYTES_OF_JSON)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error}); {remedy}.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); {remedy}.") from error
    except RecursionError as error:
        raise ValueError(f"{path} has too many brackets inside each other; {remedy}.") from error


def read_json_object(path: Path, remedy: str = "download or write it again") -> dict[str, Any]:
    """The content of a JSON file that must be an object; arguments and errors as for `read_json`."""
    content = read_json(path, remedy)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must contain a JSON object, not {type(content).__name__}; {remedy}.")
    return content


def read_yaml(path: Path) -> Any:
    """The content of a YAML file: text, numbers, lists and mappings.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: as for `parsed_yaml`; or it is not UTF-8, or too large.
    """
    return parsed_yaml(read_yaml_text(path), str(path))


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file; errors as for `read_yaml`."""
    _check_size(path, _MOST_BYTES_OF_YAML)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error}); save it as UTF-8.") from error


def parsed_yaml(text: str, name: str) -> Any:
    """The value of YAML text.

    Args:
        text: the YAML.
        name: of the text, for errors.

    Raises:
        ValueError: it is not valid YAML, too large with its aliases, or nested too deeply; the message names it.
    """
    loader, node = yaml_node(text, name)
    try:
        return None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise ValueError(f"{name} has too many lists and mappings inside each other.") from error
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:  # such as an impossible date
        raise ValueError(f"{name} is not valid YAML: {error}") from error
    finally:
        loader.dispose()


def yaml_node(text: str, name: str) -> tuple[yaml.SafeLoader, yaml.Node | None]:
    """The root of YAML text as a node of PyYAML, and the loader that makes values of nodes; as for `parsed_yaml`."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        size = 0 if node is None else _size(node, {})
    except RecursionError as error:
        raise ValueError(f"{name} has too many lists and mappings inside each other.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not valid YAML: {error}") from error
    if size > _MOST_VALUES_OF_YAML:
        raise ValueError(f"{name} has {size:,} values with its aliases, but may have {_MOST_VALUES_OF_YAML:,}.")
    return loader, node


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of values in a node, in which an alias counts as often as it is used.

    Args:
        node: the node. If it contains itself, the recursion does not end: RecursionError.
        known: the sizes of nodes that were counted before, by `id`.
    """
    if id(node) not in known:
        children = node.value if isinstance(node, (yaml.SequenceNode, yaml.MappingNode)) else []
        pairs = [child if isinstance(child, tuple) else (child,) for child in children]
        known[id(node)] = 1 + sum(_size(child, known) for pair in pairs for child in pair)
    return known[id(node)]


def _check_size(path: Path, most_bytes: int) -> None:
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"{path} has {size:,} bytes, but files of this kind have at most {most_bytes:,}.")
