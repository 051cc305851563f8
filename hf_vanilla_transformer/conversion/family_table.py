"""Generate the tables of docs/conversion.md from the family tables.

The first table shows the value of our fields for each family; the second shows supported heads and required settings.
`python -m hf_vanilla_transformer.conversion.family_table` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .checkpoint import head_name
from .families import FAMILIES
from .family import Family

__all__ = ["heads_table", "knobs_table"]

KNOBS = (
    "norm_first",
    "position_embedding_type",
    "position_offset",
    "positions_from_mask",
    "layernorm_embedding",
    "scale_embedding",
    "type_vocab_size",
    "layer_norm_eps",
    "lm_head_bias",
    "lm_head_transform",
)
_FROM_CONFIG = "its config"
_STACKS = {
    "vanilla_encoder": "encoder",
    "vanilla_decoder": "decoder",
    "vanilla_transformer": "encoder-decoder",
}


def knobs_table() -> str:
    """Markdown table of our fields that distinguish the families, with each family's values."""
    names = (*KNOBS, "pooler_act", "embedding_size")
    rows = [
        [model_type, _STACKS[family.stack], *(_shown(name, family) for name in names)]
        for model_type, family in FAMILIES.items()
    ]
    return _markdown(["family", "stack", *(f"`{name}`" for name in names)], rows)


def heads_table() -> str:
    """Markdown table of supported heads and required settings of each family."""
    rows = []
    for model_type, family in FAMILIES.items():
        heads = dict.fromkeys(head_name(head) for head in family.heads)
        without = [f"{name} (as base)" for name in family.headless]
        must = [f"`{name}={value!r}`" for name, value in family.required_values.items()]
        must += [f"`{second}={first}`" for first, second in family.equal]
        rows.append([model_type, ", ".join([*heads, *without]), ", ".join(must) or "–"])
    return _markdown(["family", "`--head`", "converts only with"], rows)


def _shown(name: str, family: Family) -> str:
    """The family's value of a field, "its config" if it comes from the checkpoint's configuration, or "–"."""
    if name == "positions_from_mask":
        return str(family.positions_from_mask)
    if name == "pooler_act":
        return family.pooler_act if family.stack == "vanilla_encoder" else "–"
    fixed: dict[str, Any] = {**family.constants, **family.import_constants}
    if name in fixed:
        return str(fixed[name])
    if name in family.derived or name in {field.ours for field in family.fields}:
        return _FROM_CONFIG
    return str(family.head_constants[name]) if name in family.head_constants else "–"


def _markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    print(knobs_table(), heads_table(), sep="\n\n")
