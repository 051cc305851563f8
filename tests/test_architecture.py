"""The folders of the package depend on each other in one direction. No files form a circle. `models/` travels alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hf_vanilla_transformer

PACKAGE = Path(hf_vanilla_transformer.__file__).parent
ROOT = PACKAGE.name
# A room may use those further down, and within a level those to its right. Files of the package's own folder that are
# named here are the ground floor; anyone may import them except `models/`, whose files travel alone.
GROUND = {
    "device", "evaluation_mode", "files", "hub_names", "import_hooks", "lazy_names", "model_folders", "progress",
    "text_lines", "untrusted_files", "wording",
}  # fmt: skip
LEVELS = (
    ("commands",),
    ("demo", "web"),
    ("pipelines", "training"),
    ("hub", "reports", "interpretation", "conversion"),
    ("generation", "inference", "data", "tokenization", "evaluation"),
    ("predecessors", "models"),
)
RANK = {name: (level, place) for level, names in enumerate(LEVELS) for place, name in enumerate(names)}


def module_name(path: Path) -> str:
    """``hf_vanilla_transformer/data/sampler.py`` as ``hf_vanilla_transformer.data.sampler``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_modules(name: str) -> set[str]:
    """The modules of the package that a module imports, anywhere in its code: in functions and for types as well."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                imported |= {submodule if submodule in MODULES else base} & MODULES.keys()
    return imported - {name}


IMPORTS = {name: imported_modules(name) for name in MODULES}


def room(name: str) -> str:
    """The folder of the package that a module stands in, or its own name on the ground floor; empty for the face."""
    return name.split(".")[1] if "." in name else ""


def circles() -> list[list[str]]:
    """Groups of modules that import each other in a loop (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in sorted(IMPORTS[name]):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            start = stack.index(name)
            if len(stack) - start > 1:
                found.append(sorted(stack[start:]))
            del stack[start:]

    for name in MODULES:
        if name not in order:
            visit(name)
    return found


def test_every_folder_has_its_level():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    assert folders == RANK.keys()


def test_the_ground_floor_is_what_it_is_said_to_be():
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert files == GROUND


def test_the_arrows_point_one_way():
    wrong = []
    for name, others in IMPORTS.items():
        for other in others:
            here, there = room(name), room(other)
            if here in RANK and there in RANK and RANK[there] < RANK[here]:
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_the_ground_floor_imports_nothing_above_it():
    wrong = []
    for name in MODULES:
        if room(name) in GROUND:
            wrong += [f"{name} imports {other}" for other in IMPORTS[name] if room(other) not in GROUND]
    assert not wrong


def test_no_files_stand_in_a_circle():
    assert circles() == []


TRAVELLING = [*sorted((PACKAGE / "models").glob("*_vanilla*.py")), *sorted(PACKAGE.rglob("*_predecessor.py"))]


@pytest.mark.parametrize("path", TRAVELLING, ids=lambda path: path.stem)
def test_files_that_travel_import_only_each_other(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1 and node.module and "." not in node.module, f"line {node.lineno}"
            assert (path.parent / f"{node.module}.py").is_file() and (
                "_vanilla" in node.module or "_predecessor" in node.module
            )
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            assert ROOT not in ast.unparse(node), f"line {node.lineno}"
