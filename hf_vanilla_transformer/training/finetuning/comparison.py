"""Compares a fine-tuning with the same fine-tuning from another initialisation."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from ...evaluation.chunks import are_chunk_tags, chunks
from ...evaluation.paired_bootstrap import f1_score, mean_score, paired_bootstrap, pearson_score
from ..callbacks import higher_is_better
from ..recipes.finetuning_recipe import FinetuneRecipe
from ..run_folder import PREDICTIONS_FILE, RESULTS_FILE
from .base_model import lineage
from .baseline import BAG_OF_WORDS, baseline_folder, check_baseline
from .gain import Gain, shown_interval


def check_comparison(recipe: FinetuneRecipe) -> None:
    """Checks the entries of `comparison.start`, before training.

    Raises:
        ValueError, FileNotFoundError, ImportError: an entry is impossible.
    """
    for start in recipe.comparison.start:
        if start == BAG_OF_WORDS:
            check_baseline(recipe)
            continue
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
                f"comparison.start={start!r} is neither `bag_of_words`, `before` nor `scratch`, nor a folder "
                f"with a {RESULTS_FILE}."
            )


def compared_recipes(recipe: FinetuneRecipe) -> list[tuple[str, FinetuneRecipe | str]]:
    """The name of each start, with the recipe to run or the folder of an earlier run."""
    compared: list[tuple[str, FinetuneRecipe | str]] = []
    for start in recipe.comparison.start:
        if start == BAG_OF_WORDS:
            compared.append((start, str(baseline_folder(recipe))))
            continue
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


def read_gain(start: str, folder: Path, metric: str, metrics: dict[str, Any], own: Path) -> Gain:
    """The gain over the run in `folder`, from its results.

    Args:
        start: name of the other initialisation.
        folder: of the other run.
        metric: to compare.
        metrics: scores of this run.
        own: folder of this run, with its predictions.

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
    intervals = {}
    for split in scores:
        interval = _interval(*(_predictions(one, split) for one in (own, folder)), metric)
        if interval is not None:
            intervals[split] = interval
    return Gain(start, str(folder), scores, gains, intervals)


def gain_table(gains: list[Gain], metric: str) -> str:
    """The gains as text, one line per start."""
    lines = []
    for gain in gains:
        parts = [
            f"{split} {metric} {gain.scores[split]:.4g}, gain {gain.gains[split]:+.4g}{shown_interval(gain, split)}"
            for split in gain.scores
        ]
        lines.append(f"starting from {gain.start}: " + "; ".join(parts))
    return "\n".join(lines)


def row_statistics(predictions: list[dict[str, Any]], metric: str) -> tuple[np.ndarray, Any] | None:
    """What each row adds to a metric: (rows, statistics), and the function of their sums; None for other metrics.

    Args:
        predictions: lines of predictions_{split}.jsonl.
        metric: `accuracy`, `f1` of several classes or of chunks, or `pearson`.
    """
    rows: list[list[float]] = []
    if metric == "pearson":
        for one in predictions:
            x, y = float(one["gold"]), float(one["predicted"])
            rows.append([1, x, y, x * x, y * y, x * y])
        # Sums of squares of numbers far from 0 would lose their digits.
        values = np.array(rows)
        x, y = (values[:, column] - values[:, column].mean() for column in (1, 2))
        return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1), pearson_score
    words = all(isinstance(one["gold"], list) for one in predictions)
    several = words and all(one.get("probabilities") is not None for one in predictions)
    if metric == "accuracy" and not several:
        for one in predictions:
            if words:
                rows.append([sum(map(str.__eq__, one["gold"], one["predicted"])), len(one["gold"])])
            elif "gold_number" in one.get("extra", {}):
                rows.append([one["extra"]["gold_number"] == one["extra"]["predicted_number"], 1])
            else:
                rows.append([one["gold"] == one["predicted"], 1])
        return np.array(rows, dtype=float), mean_score
    if metric == "f1" and words:
        tags = {tag for one in predictions for tag in one["gold"]}
        if not several and not are_chunk_tags(tags):
            return None
        for one in predictions:
            gold, predicted = (set(one[name] if several else chunks(one[name])) for name in ("gold", "predicted"))
            rows.append([len(gold & predicted), len(predicted), len(gold)])
        return np.array(rows, dtype=float), f1_score
    return None


def _interval(own: list[dict[str, Any]], other: list[dict[str, Any]], metric: str) -> tuple[float, float] | None:
    """The interval of the difference; None without predictions of the same rows or for another metric."""
    keys = [[(one["text"], one.get("gold")) for one in predictions] for predictions in (own, other)]
    if not own or keys[0] != keys[1]:
        return None
    first, second = row_statistics(own, metric), row_statistics(other, metric)
    return None if first is None or second is None else paired_bootstrap(first[0], second[0], first[1])


def _predictions(folder: Path, split: str) -> list[dict[str, Any]]:
    file = folder / PREDICTIONS_FILE.format(split=split)
    if not file.is_file():
        return []
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _before(recipe: FinetuneRecipe) -> str | None:
    ancestors = lineage(recipe.base_model)
    return ancestors[1].source if len(ancestors) > 1 else None
