"""The bag of words beside a fine-tuning: same rows, same test rows, same scores, and which of the two to use."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import datasets

from ...device import hardware
from ...files import write_text
from ..callbacks import higher_is_better
from ..recipes.finetuning_recipe import FinetuneRecipe
from ..run_folder import PREDICTIONS_FILE, RESULTS_FILE
from .bag_of_words import BagOfWords, require_scikit_learn
from .gain import Gain
from .task import Prediction, Splits
from .task_trainer import main_metric
from .tasks.classification import Classification

BAG_OF_WORDS = "bag_of_words"


def check_baseline(recipe: FinetuneRecipe) -> None:
    """Checks that a bag of words can do the task of a recipe.

    Raises:
        ValueError: it cannot.
        ImportError: scikit-learn is not installed.
    """
    if recipe.task != Classification.name:
        raise ValueError(
            f"comparison.start: bag_of_words cannot do task={recipe.task!r}, only {Classification.name}: remove "
            "bag_of_words from comparison.start."
        )
    require_scikit_learn("comparison.start: bag_of_words")


def baseline_folder(recipe: FinetuneRecipe) -> Path:
    """The folder of the bag of words in the output folder of a run."""
    return Path(recipe.output.output_dir) / "compared" / BAG_OF_WORDS


def train_baseline(task: Classification, splits: Splits, folder: Path, *, test: bool) -> dict[str, Any]:
    """Trains a bag of words on the training rows, chooses its regulariser on the validation rows, and scores it.

    Writes the model, predictions_{split}.jsonl, and results.json as the last file; returns the results.

    Args:
        task: after `fit_labels`.
        splits: of the task, with labels as numbers.
        folder: to write.
        test: whether to score the test rows too.
    """
    train, validation = splits.train, splits.validation
    metric = main_metric(task)
    sign = 1.0 if higher_is_better(metric) else -1.0

    def better(model: BagOfWords) -> float:
        score = task.metrics(_predictions(task, model, validation))[metric]
        return -math.inf if math.isnan(score) else sign * score  # r is not defined for equal predictions

    started = time.perf_counter()
    model = BagOfWords.fit(
        task.kind,
        max(len(task.labels), 1),
        list(train["text"]),
        list(train["label"]),
        _second_texts(train),
        better=None if validation is None else better,
    )
    seconds = time.perf_counter() - started
    model.save(folder / "model")
    results: dict[str, Any] = {"main_metric": metric}
    rows = predicting = 0.0
    for split in ("validation", "test") if test else ("validation",):
        chosen = getattr(splits, split)
        if chosen is None:
            continue
        started = time.perf_counter()
        predictions = _predictions(task, model, chosen)
        predicting += time.perf_counter() - started
        rows += len(chosen)
        results |= {f"{split}_{name}": value for name, value in task.metrics(predictions).items()}
        lines = (json.dumps(one.to_dict(), ensure_ascii=False) for one in predictions)
        write_text(folder / PREDICTIONS_FILE.format(split=split), "".join(f"{line}\n" for line in lines))
    results |= {
        "training_seconds": round(seconds, 2),
        "hardware": hardware(1),
        "run": {
            "task": task.name,
            "train_rows": len(train),
            "terms": "words and pairs of words" if model.words else "characters, one to four in a row",
            "strength": model.strength,
            "strength_chosen": "by default, without validation rows" if validation is None else f"by {metric}",
            "rows_per_second": rows / predicting if predicting else None,
            "megabytes": model.megabytes,
        },
    }
    write_text(folder / RESULTS_FILE, json.dumps(results, indent=2) + "\n")
    return results


def verdict(gain: Gain, metric: str, results: dict[str, Any]) -> str:
    """Which of the two to use, with the difference, its interval, and the costs of both, in a few sentences.

    Args:
        gain: of the model over the bag of words.
        metric: that the gain is in.
        results: of the model's run.
    """
    split = "test" if "test" in gain.gains else "validation"
    difference, interval = gain.gains[split], gain.intervals.get(split)
    shown = f"{metric} {gain.scores[split]:.4g} and {results[f'{split}_{metric}']:.4g}, difference {difference:+.4g}"
    if interval is None:
        certain = difference != 0
    else:
        shown += f", 95 % confidence interval {interval[0]:+.4g} to {interval[1]:+.4g}"
        certain = interval[0] > 0 or interval[1] < 0
    if certain and difference > 0:
        advice = "Use this model: it is better than a bag of words"
    elif certain:
        advice = "Use the bag of words: it is better than this model"
    else:
        advice = "Use the bag of words: this model is not measurably better, and it costs more"
    other = json.loads((Path(gain.folder) / RESULTS_FILE).read_text(encoding="utf-8"))
    return f"{advice} ({shown}; {split} rows). {_costs('Bag of words', other)}; {_costs('this model', results)}."


def _costs(name: str, results: dict[str, Any]) -> str:
    run = results.get("run", {})
    parts = [f"{results['training_seconds']:,.1f} s of training"]
    if run.get("rows_per_second"):
        parts.append(f"{run['rows_per_second']:,.0f} rows/s")
    if run.get("megabytes"):
        parts.append(f"{run['megabytes']:,.1f} MB")
    return f"{name}: {', '.join(parts)} ({results.get('hardware', 'unknown hardware')})"


def _predictions(task: Classification, model: BagOfWords, rows: datasets.Dataset) -> list[Prediction]:
    return task.predictions(rows, model.predict(list(rows["text"]), _second_texts(rows)))


def _second_texts(rows: datasets.Dataset) -> list[str] | None:
    return list(rows["text_pair"]) if "text_pair" in rows.column_names else None


__all__ = ["BAG_OF_WORDS", "baseline_folder", "check_baseline", "train_baseline", "verdict"]
