"""The sources of a language model's training text: one, or a mixture with weights."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ...files import home_expanded
from ...wording import did_you_mean
from .text_sections import DataRecipe


@dataclass(frozen=True)
class TextSource:
    """One source of a mixture.

    Attributes:
        path: folder, file or Hub name.
        weight: its share of the tokens, in proportion to the other weights.
        config: configuration of a Hub data set.
        split: names of the training split; the first that exists is used.
        text_column: the column of the text.
        sample_by: what one text of a plain text file is.
    """

    path: str
    weight: float
    config: str | None
    split: tuple[str, ...]
    text_column: str
    sample_by: str


def mixture_sources(data: DataRecipe) -> list[TextSource]:
    """The sources of the training text: those of `data.mixture`, or `data.path` alone.

    Raises:
        ValueError: a source has an unknown key, no path, or a weight that is not above 0.
    """
    shared = {
        "config": data.config,
        "split": data.train,
        "text_column": data.text_column,
        "sample_by": data.sample_by,
    }
    if not data.mixture:
        return [] if data.path is None else [_source(0, {"path": data.path}, shared)]
    # The configuration of one Hub data set does not apply to the others.
    return [_source(number, entry, {**shared, "config": None}) for number, entry in enumerate(data.mixture)]


def _source(number: int, entry: dict[str, Any], shared: dict[str, Any]) -> TextSource:
    where = f"data.mixture[{number}]"
    legal = [field.name for field in dataclasses.fields(TextSource)]
    for key in entry:
        if key not in legal:
            raise ValueError(
                f"Unknown key {key!r} in {where}. {did_you_mean(str(key), legal)}Valid here: {', '.join(legal)}."
            )
    if not isinstance(entry.get("path"), str) or not entry["path"]:
        raise ValueError(f"{where} needs a path, such as {{path: data/brown, weight: 1}}, but is {entry!r}.")
    weight = entry.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
        raise ValueError(f"{where}.weight must be a number above 0, not {weight!r}; leave a source out instead of 0.")
    values = {**shared, **entry, "path": home_expanded(entry["path"]), "weight": float(weight)}
    split = values["split"]
    values["split"] = (split,) if isinstance(split, str) else tuple(split)
    if values["sample_by"] not in ("line", "paragraph", "document"):
        raise ValueError(f"{where}.sample_by must be line, paragraph or document, not {values['sample_by']!r}.")
    return TextSource(**values)
