"""The results.json of a run, read for the card: scores with their signatures, and facts about the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..untrusted_files import read_json

RESULTS_FILE = "results.json"
SPLITS = ("validation", "test")
# Metrics with a name on the Hub.
HUB_METRICS = ("bleu", "chrf", "accuracy", "f1", "perplexity")


@dataclass(frozen=True)
class Score:
    """One number of a results.json.

    Attributes:
        name: name of the metric, such as `bleu`.
        value: the score.
        split: `validation` or `test`; empty if unknown.
        signature: sacreBLEU's signature of the metric's settings; None for other metrics.
    """

    name: str
    value: float
    split: str = ""
    signature: str | None = None


def read_results(folder: Path) -> dict[str, Any] | None:
    """The content of results.json in `folder`; None if it does not exist.

    Raises:
        ValueError: it is not a JSON object.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        return None
    results = read_json(path, "remove it, or evaluate the model again")
    if not isinstance(results, dict):
        raise ValueError(f'{path} must contain an object such as {{"test_bleu": 30.1}}, not {type(results).__name__}.')
    return results


def scores(results: Mapping[str, Any]) -> list[Score]:
    """The scores in results.json, test before validation. Facts about the training are left out."""
    found = []
    for key, value in results.items():
        if key in _FACTS or key.endswith("_seconds") or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        split = next((split for split in SPLITS if key.startswith(f"{split}_")), "")
        name = key.removeprefix(f"{split}_") if split else key
        signature = results.get(f"{key}_signature")
        found.append(Score(name, float(value), split, signature))
    order = {"test": 0, "validation": 1, "": 2}
    return sorted(found, key=lambda score: order[score.split])


# Keys of results.json that are not scores, and their names on the card.
_FACTS = {
    "steps": "updates",
    "tokens": "training tokens (with a label)",
    "training_seconds": "training time",
    "wall_seconds": "training time with evaluations",
    "weights": "weights",
    "hardware": "hardware",
    "finished": "finished",
}


def training_facts(results: Mapping[str, Any], hardware: str = "") -> dict[str, str]:
    """Facts about the training, formatted for the card.

    Args:
        results: content of results.json.
        hardware: training hardware, if the results do not contain it.
    """
    known = {**results, "hardware": hardware or results.get("hardware")}
    return {label: _shown(key, known[key]) for key, label in _FACTS.items() if known.get(key) is not None}


def _shown(key: str, value: Any) -> str:
    if key.endswith("_seconds"):
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
    return f"{value:,}" if isinstance(value, int) else str(value)
