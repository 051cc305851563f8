"""Compares a fine-tuning with the same fine-tuning from another initialisation."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..callbacks import higher_is_better
from ..recipes.finetuning_recipe import FinetuneRecipe
from ..run_folder import RESULTS_FILE
from .base_model import lineage


@dataclass(frozen=True)
class Gain:
    """The gain over another initialisation.

    Attributes:
        start: `before`, `scratch`, or the folder of an earlier fine-tuning.
        folder: of the other run, with its results.
        scores: main metric of the other run, for each split that both runs have scores on.
        gains: improvement over the other run, for the same splits; negative if the other run is better.
    """

    start: str
    folder: str
    scores: dict[str, float]
    gains: dict[str, float]


def check_comparison(recipe: FinetuneRecipe) -> None:
    """Raises ValueError or FileNotFoundError, before training, if an entry of `comparison.start` is impossible."""
    for start in recipe.comparison.start:
        if start == "scratch" and recipe.backbone.train != "full":
            raise ValueError(
                "comparison.start: scratch starts from random weights, which backbone.train="
                f"{recipe.backbone.train!r} would not train; compare with `before` or an earlier run."
            )
        if start == "before" and _before(recipe) is None:
            raise ValueError(
                f"comparison.start: before needs the base model of {recipe.base_model}, but there is no recipe.yaml "
                "that names it; compare with `scratch` or the folder of an earlier run."
            )
        if start not in ("scratch", "before") and not (Path(start) / RESULTS_FILE).is_file():
            raise FileNotFoundError(
                f"comparison.start={start!r} is neither `before` nor `scratch`, nor a folder with a {RESULTS_FILE}."
            )


def compared_recipes(recipe: FinetuneRecipe) -> list[tuple[str, FinetuneRecipe | str]]:
    """The name of each start, with the recipe to run or the folder of an earlier run."""
    compared: list[tuple[str, FinetuneRecipe | str]] = []
    for start in recipe.comparison.start:
        if start not in ("scratch", "before"):
            compared.append((start, start))
            continue
        other = copy.deepcopy(recipe)
        other.comparison.start = []
        other.output.output_dir = str(Path(recipe.output.output_dir) / "compared" / start)
        if start == "scratch":
            other.from_scratch = True
            # Lower rates or freezing would harm random weights, and so make the base model look better.
            other.rates.layerwise_lr_decay = 1.0
            other.unfreezing.mode = "none"
        else:
            other.base_model = _before(recipe)
        compared.append((start, other))
    return compared


def read_gain(start: str, folder: Path, metric: str, metrics: dict[str, Any]) -> Gain:
    """The gain over the run in `folder`, from its results.

    Raises:
        ValueError: the other run has no scores of the same metric.
    """
    other = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    scores, gains = {}, {}
    sign = 1.0 if higher_is_better(metric) else -1.0
    for split in ("validation", "test"):
        key = f"{split}_{metric}"
        if isinstance(metrics.get(key), (int, float)) and isinstance(other.get(key), (int, float)):
            scores[split] = float(other[key])
            gains[split] = sign * (float(metrics[key]) - float(other[key]))
    if not scores:
        raise ValueError(f"{folder / RESULTS_FILE} has no {metric} of a split that this run has scores on.")
    return Gain(start, str(folder), scores, gains)


def gain_table(gains: list[Gain], metric: str) -> str:
    """The gains as text, one line per start."""
    lines = []
    for gain in gains:
        parts = [f"{split} {metric} {gain.scores[split]:.4g}, gain {gain.gains[split]:+.4g}" for split in gain.scores]
        lines.append(f"starting from {gain.start}: " + "; ".join(parts))
    return "\n".join(lines)


def _before(recipe: FinetuneRecipe) -> str | None:
    ancestors = lineage(recipe.base_model)
    return ancestors[1].source if len(ancestors) > 1 else None
