"""Writes report.md of a fine-tuning from the files in its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...files import write_text
from ...reports.task_report import ReportRecords, kind_of, write_report
from ...wording import counted
from ..callbacks import higher_is_better
from ..history import read_history
from ..recipes.finetuning_recipe import load_finetune_recipe
from ..run_folder import METRICS_FILE, PREDICTIONS_FILE, RECIPE_FILE, RESULTS_FILE
from .gain import Gain, shown_interval
from .unfreezing import TRAINABLE_FILE, read_trainable, trainable_table

NOTES_FILE = "notes.json"


def write_run_report(
    folder: str | Path, results: dict[str, Any] | None = None, *, notes: Sequence[str] | None = None, command: str = ""
) -> Path:
    """Writes `report.md` and its pictures into the folder of a run.

    Args:
        folder: of the run, with recipe.yaml and the predictions.
        results: scores and facts of the run; None reads results.json, which a finished run has.
        notes: remarks on the data, such as rows that were left out; saved in notes.json, so that the report can be
            written again without the data. None reads notes.json.
        command: the command line.

    Returns:
        The path of the report.

    Raises:
        FileNotFoundError: the run is not finished.
    """
    folder = Path(folder)
    if results is None:
        if not (folder / RESULTS_FILE).is_file():
            raise FileNotFoundError(
                f"There is no {RESULTS_FILE} in {folder}: the run is not finished. Resume it first."
            )
        results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    if notes is not None:
        write_text(folder / NOTES_FILE, json.dumps(list(notes), ensure_ascii=False, indent=2) + "\n")
    recipe = load_finetune_recipe(folder / RECIPE_FILE)
    predictions = {}
    for split in ("validation", "test"):
        file = folder / PREDICTIONS_FILE.format(split=split)
        if file.is_file():
            with file.open(encoding="utf-8") as lines:
                predictions[split] = [json.loads(line) for line in lines]
    metric = results["main_metric"]
    trained = read_trainable(folder / TRAINABLE_FILE) if (folder / TRAINABLE_FILE).is_file() else []
    records = ReportRecords(
        title=recipe.description.strip() or f"{folder.resolve().name}: {recipe.task.replace('_', ' ')}",
        kind=_kind(recipe.task, recipe.head.problem, predictions),
        metric=metric,
        higher_is_better=higher_is_better(metric),
        metrics={name: value for name, value in results.items() if name.startswith(("validation_", "test_"))},
        history=read_history(folder / METRICS_FILE),
        predictions=predictions,
        labels=_labels(folder),
        verdict=results.get("verdict", ""),
        facts=_facts(recipe, results, command),
        trainable=trainable_table(trained) if trained else "",
        unfrozen={later.step: later.parts[-1] for later in trained[1:] if later.parts},
        notes=json.loads((folder / NOTES_FILE).read_text(encoding="utf-8")) if (folder / NOTES_FILE).is_file() else [],
    )
    return write_report(folder, records)


def _kind(task: str, problem: str, predictions: dict[str, list[dict[str, Any]]]) -> Any:
    if task == "classification":
        return {"single_label": "classes", "multi_label": "several_classes", "regression": "number"}[problem]
    known = {"token_classification": "tags", "dependency_parsing": "trees"}
    if task in known:
        return known[task]
    return "text" if task != "multiple_choice" else kind_of(next(iter(predictions.values()), []))


def _labels(folder: Path) -> list[str]:
    """Names of the classes in the order of the model's outputs, from its configuration."""
    file = folder / "model" / "config.json"
    if not file.is_file():
        return []
    names = json.loads(file.read_text(encoding="utf-8")).get("id2label") or {}
    return [names[key] for key in sorted(names, key=int)]


def _facts(recipe: Any, results: dict[str, Any], command: str) -> dict[str, str]:
    run = results.get("run", {})
    shape = "random weights in the shape of " if recipe.from_scratch else ""
    ancestors = [
        f"`{Path(one['source']).name}`" + (f" ({one['task']})" if one["task"] else "") for one in run.get("lineage", [])
    ]
    rows = f"{run['train_rows']:,}" if "train_rows" in run else "?"
    if run.get("train_rows_available", 0) > run.get("train_rows", 0):
        rows += f" of {run['train_rows_available']:,}"
    gains = [
        f"{split} {results['main_metric']} {gain['gains'][split]:+.4g} over {gain['start']}"
        + shown_interval(Gain(**gain), split)
        for gain in results.get("gains", [])
        for split in gain["gains"]
    ]
    return {
        "started from": shape + (", made from ".join(ancestors) or f"`{Path(str(recipe.base_model)).name}`"),
        "data": f"`{Path(str(recipe.data.path)).name}`, {rows} training rows",
        "gain": "; ".join(gains),
        "training": f"{counted(results.get('steps', 0), 'update')} in {results.get('training_seconds', 0):,.0f} s on "
        f"{results.get('hardware', 'unknown hardware')}, {results.get('finished', '')}; "
        f"weights: {results.get('weights')}",
        "command": f"`{command}`" if command else "",
    }
