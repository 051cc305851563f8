"""Files and values that hypothesis makes up: what reads them returns a value or says in a ValueError what is wrong.

The fast tests try few inputs, the slow ones many. Both print how many ran: `pytest -s -m slow tests/test_fuzzing.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_vanilla_transformer import VanillaDecoderConfig, VanillaEncoderConfig, VanillaTransformerConfig
from hf_vanilla_transformer.text_lines import text_lines
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe
from hf_vanilla_transformer.training.recipes.reading import read_recipe
from hf_vanilla_transformer.training.recipes.training_recipe import Recipe
from hf_vanilla_transformer.untrusted_files import read_json, read_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
RECIPES = [Recipe, FinetuneRecipe]
CONFIGURATIONS = [VanillaEncoderConfig, VanillaDecoderConfig, VanillaTransformerConfig]
# Bytes, and bytes that look more like YAML or JSON than chance makes them.
CONTENTS = st.binary(max_size=200) | st.text("{}[]:,-&*!|>#%@'\"\n\t ab01.", max_size=80).map(str.encode)


@st.composite
def field_values(draw: st.DrawFn, kinds: list[type]) -> tuple[type, dict[str, Any]]:
    """A dataclass and values for some of its fields, which seldom fit."""
    kind = draw(st.sampled_from(kinds))
    names = [field.name for field in fields(kind) if field.init]
    return kind, draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=8), VALUES, max_size=4))


def json_or_error(folder: Path, content: bytes) -> None:
    (folder / "file.json").write_bytes(content)
    try:
        value = read_json(folder / "file.json")
    except ValueError as error:
        assert "file.json" in str(error)
    else:
        assert isinstance(json.dumps(value), str)


def yaml_or_error(folder: Path, content: bytes) -> None:
    (folder / "file.yaml").write_bytes(content)
    try:
        read_yaml(folder / "file.yaml")
    except ValueError as error:
        assert "file.yaml" in str(error)


def lines_or_error(folder: Path, content: bytes) -> None:
    (folder / "text.txt").write_bytes(content)
    try:
        lines = list(text_lines(folder / "text.txt"))
    except (ValueError, OSError) as error:
        assert "text.txt" in str(error)
    else:
        assert all(isinstance(line, (str, UnicodeDecodeError)) for line in lines)


def recipe_file_or_error(folder: Path, case: tuple[type, dict[str, Any]]) -> None:
    kind, values = case
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    _recipe_or_error(folder, kind, folder / "recipe.yaml", [])


def recipe_option_or_error(folder: Path, case: tuple[type, str, str]) -> None:
    kind, name, value = case
    _recipe_or_error(folder, kind, None, [f"{name}={value}"])


def _recipe_or_error(folder: Path, kind: type, path: Path | None, overrides: list[str]) -> None:
    """Reads a recipe; one that is accepted is read back as it was written."""
    try:
        recipe = read_recipe(kind, path, overrides)
    except ValueError as error:
        assert str(error)
        return
    recipe.save(folder / "again.yaml")
    assert read_recipe(kind, folder / "again.yaml") == recipe


def configuration_or_error(folder: Path, case: tuple[type, dict[str, Any]]) -> None:
    """Makes a configuration; strict dataclasses of huggingface_hub report a field by errors of their own."""
    from huggingface_hub.errors import StrictDataclassError

    kind, values = case
    try:
        config = kind(**{name: value for name, value in values.items() if name.isidentifier()})
    except (ValueError, StrictDataclassError) as error:
        assert str(error)
        return
    assert config.hidden_size % config.num_attention_heads == 0
    assert 0 <= config.dropout <= 1 and math.isfinite(config.layer_norm_eps)


OPTIONS = st.tuples(
    st.sampled_from(RECIPES),
    st.sampled_from(["training.learning_rate", "training.max_steps", "data.path", "training", "data", "output"])
    | st.text(max_size=10),
    st.text(max_size=20) | VALUES.map(str),
)
CASES: dict[str, tuple[Callable[[Path, Any], None], st.SearchStrategy[Any]]] = {
    "json": (json_or_error, CONTENTS),
    "yaml": (yaml_or_error, CONTENTS),
    "lines": (lines_or_error, CONTENTS),
    "recipe-file": (recipe_file_or_error, field_values(RECIPES)),
    "recipe-option": (recipe_option_or_error, OPTIONS),
    "configuration": (configuration_or_error, field_values(CONFIGURATIONS)),
}
FEW, MANY = 25, 2000


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_a_value_or_one_clear_error(name, examples, tmp_path):
    check, inputs = CASES[name]
    count = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def run(value: Any) -> None:
        nonlocal count
        count += 1
        check(tmp_path, value)

    run()
    assert count >= min(examples, FEW)
    print(f"{name}: {count} inputs")
