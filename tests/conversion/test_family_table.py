"""The tables in the documentation match the code."""

from pathlib import Path

import pytest

from hf_vanilla_transformer.conversion.families import FAMILIES
from hf_vanilla_transformer.conversion.family_table import heads_table, knobs_table

PAGE = Path(__file__).parents[2] / "docs" / "conversion.md"


@pytest.mark.parametrize("table", [knobs_table, heads_table])
def test_the_documentation_contains_the_current_table(table):
    assert table() in PAGE.read_text(encoding="utf-8"), "python -m hf_vanilla_transformer.conversion.family_table"


def test_every_family_has_a_row_with_its_settings():
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in knobs_table().splitlines()[2:]}
    assert rows.keys() == FAMILIES.keys()
    assert "| encoder | False | learned |" in rows["bert"]
    assert "| decoder | True | sinusoidal_t2t | 2 | False |" in rows["xglm"]
    assert rows["electra"].endswith("| gelu | its config |")
    assert rows["bert"].endswith("| tanh | – |")
