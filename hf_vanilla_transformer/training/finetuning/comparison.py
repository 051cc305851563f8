"""What a base model is worth: the same fine-tuning from another start, and the difference."""

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
    """One other start.

    Attributes:
        start: `before`, `scratch`, or the folder of an earlier fine-tuning.
        folder: where its results are.
        scores: the main metric of each split that both were scored on: from there.
        gains: how much better it is from the base model; negative if it is worse.
    """

    start: str
    folder: str
    scores: dict[str, float]
    gains: dict[str, float]


def check_comparison(recipe: FinetuneRecipe) -> None:
    """Raises ValueError or FileNotFoundError, before any work, for a start that cannot be compared with."""
    for start in recipe.comparison.start:
        if start == "scratch" and recipe.backbone.train != "full":
            raise ValueError(
                "comparison.start: scratch has no backbone to leave alone, but "
                f"backbone.train={recipe.backbone.train!r}; compare "
                "with `before` or an earlier run."
            )
        if start == "before" and _before(recipe) is None:
            raise ValueError(
                f"comparison.start: before needs to know what {recipe.base_model} was trained from, and no recipe.yaml "
                "there says it; compare with `scratch` or the folder of an earlier run."
            )
        if start not in ("scratch", "before") and not (Path(start) / RESULTS_FILE).is_file():
            raise FileNotFoundError(
                f"comparison.start={start!r} is neither `before` nor `scratch`, nor a folder with a {RESULTS_FILE}."
            )


def compared_recipes(recipe: FinetuneRecipe) -> list[tuple[str, FinetuneRecipe | str]]:
    """For each start its name, and the recipe to run or the folder to read."""
    found: list[tuple[str, FinetuneRecipe | str]] = []
    for start in recipe.comparison.start:
        if start not in ("scratch", "before"):
            found.append((start, start))
            continue
        other = copy.deepcopy(recipe)
        other.comparison.start = []
        other.output.output_dir = str(Path(recipe.output.output_dir) / "compared" / start)
        if start == "scratch":
            other.from_scratch = True
            # Random weights have nothing to keep: slowed down or frozen they would make the base model look better.
            other.rates.layerwise_lr_decay = 1.0
            other.unfreezing.mode = "none"
        else:
            other.base_model = _before(recipe)
        found.append((start, other))
    return found


def read_gain(start: str, folder: Path, metric: str, metrics: dict[str, Any]) -> Gain:
    """The difference of two results.

    Raises:
        ValueError: the other run was not scored in the same metric.
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
        raise ValueError(f"{folder / RESULTS_FILE} has no {metric} of a split that this run was scored on, too.")
    return Gain(start, str(folder), scores, gains)


def gain_table(gains: list[Gain], metric: str) -> str:
    """The gains as lines that a person reads."""
    lines = []
    for gain in gains:
        parts = [f"{split} {metric} {gain.scores[split]:.4g}, gain {gain.gains[split]:+.4g}" for split in gain.scores]
        lines.append(f"starting from {gain.start}: " + "; ".join(parts))
    return "\n".join(lines)


def _before(recipe: FinetuneRecipe) -> str | None:
    ancestors = lineage(recipe.base_model)
    return ancestors[1].source if len(ancestors) > 1 else None
