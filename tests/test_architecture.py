"""The folders of the package depend on each other in one direction, and `models/` on none of them."""

import ast
from pathlib import Path

import hf_vanilla_transformer

PACKAGE = Path(hf_vanilla_transformer.__file__).parent
# A folder may use those further down, and within a level those to its right.
LEVELS = (
    ("commands",),
    ("demo", "web"),
    ("pipelines", "training", "hub", "reports", "interpretation", "conversion"),
    ("generation", "data", "tokenization", "evaluation"),
    ("models",),
)
RANK = {name: (level, place) for level, names in enumerate(LEVELS) for place, name in enumerate(names)}


def imported_folders(path: Path) -> set[str]:
    """The folders of the package that a module imports from, anywhere in its code."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module] if node.module != PACKAGE.name else [f"{PACKAGE.name}.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            module = [node.module] if node.module else [alias.name for alias in node.names]
            names = [f"{PACKAGE.name}.{name}" for name in module]
        found |= {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}
    return found & RANK.keys()


def test_every_folder_has_its_level():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    assert folders == RANK.keys()


def test_the_arrows_point_one_way():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        folder = path.relative_to(PACKAGE).parts[0]
        if folder not in RANK:
            continue
        for other in imported_folders(path) - {folder}:
            if RANK[other] < RANK[folder]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}")
    assert not wrong


def test_files_that_travel_import_only_each_other():
    for path in sorted((PACKAGE / "models").glob("*_vanilla*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and node.module and "." not in node.module, f"{path.name}:{node.lineno}"
                assert (path.parent / f"{node.module}.py").is_file() and "_vanilla" in node.module, path.name
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                assert PACKAGE.name not in ast.unparse(node), f"{path.name}:{node.lineno}"
