"""The drawings on docs/architecture.md agree with the code."""

import re

from hf_vanilla_transformer.training import run
from tests.test_architecture import GROUND, LEVELS, PACKAGE

from .test_names import code_blocks, inline_code

PAGE = "docs/architecture.md"


def drawing(word: str) -> str:
    """The drawing that contains a word."""
    return next(block for block in code_blocks(PAGE, "text") if word in block)


def test_the_floors_are_those_that_the_imports_obey():
    floors: dict[int, list[str]] = {}
    for line in drawing("ground").splitlines():
        if number := re.match(r"floor (\d)", line):
            current = floors.setdefault(int(number[1]), [])
        columns = re.split(r"\s{2,}", re.sub(r"^floor \d", "", line).strip())
        if not line.startswith("ground"):
            current += [name for name in columns if any(name in names for names in LEVELS)]
    assert [tuple(floors[number]) for number in sorted(floors, reverse=True)] == list(LEVELS)


def test_the_ground_floor_is_complete():
    _, _, names = drawing("ground").partition("\nground")
    assert set(re.findall(r"(\w+)\.py", names)) == GROUND


def test_the_walk_names_every_file_of_the_models():
    walk = {re.sub(r"\s.*", "", line) for line in drawing("losses_vanilla").splitlines()}
    named = walk | {code.removesuffix(".py") for code in inline_code(PAGE)}
    files = {path.stem for path in (PACKAGE / "models").glob("*_vanilla*.py")}
    assert files <= named
    assert {name for name in walk if "*" not in name} <= files


def test_files_of_the_training_exist():
    spine = drawing("carry_out")
    names = set(re.findall(r"[\w/]+\.py", spine)) | {
        f"{name}.py" for name in re.findall(r"([\w/]*\w)\.[A-Z]\w+", spine)
    }
    names |= {code for code in inline_code(PAGE) if re.fullmatch(r"[\w/]+\.py", code) and not code.startswith("tests/")}
    files = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert not [name for name in names if not any(f"/{file}".endswith(f"/{name}") for file in files)]


def test_the_steps_of_a_run_exist():
    for name in re.findall(r"Run\.(\w+)", drawing("carry_out")):
        assert hasattr(run.Run, name), name
