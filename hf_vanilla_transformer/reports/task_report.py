"""report.md of a fine-tuned model, with its pictures beside it.

The report is computed from the files that a run writes (scores, history, one line a prediction), so it can be written
again from the folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..evaluation.calibration import wilson_interval
from ..files import write_text
from .markdown import cell, figure, table
from .task_pictures import plot_history
from .task_sections import (
    calibration_section,
    class_section,
    error_section,
    example_section,
    history_caption,
    number_section,
    tag_section,
    tree_section,
)

REPORT_FILE = "report.md"

Kind = Literal["classes", "several_classes", "number", "tags", "trees", "text"]


@dataclass
class ReportRecords:
    """The records of a run that its report is made from.

    Attributes:
        title: of the report.
        kind: what the model predicts: a class, several classes, a number, a tag for each word, a dependency tree or a
            text.
        metric: the metric that chose the best weights.
        higher_is_better: whether a higher value of that metric is better.
        metrics: final scores, such as `validation_accuracy` or `test_loss`.
        history: the records of metrics.jsonl.
        predictions: for each split, one mapping a row with `text`, `gold`, `predicted`, and `probability`,
            `probabilities` and `extra` if the model has them. Trees are `{"heads": [...], "relations": [...]}`.
        labels: names of the classes in the order of the model's outputs.
        verdict: the first lines: which model to use.
        facts: further lines at the top, by name: base model, data, command, hardware.
        trainable: a table of the trainable parameters over time.
        unfrozen: for the learning curves, the name of the part that became trainable at an update.
        notes: what the reader should know about the data, such as skipped rows or doubtful labels.
    """

    title: str
    kind: Kind
    metric: str
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = ()
    predictions: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    labels: Sequence[str] = ()
    higher_is_better: bool = True
    verdict: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    trainable: str = ""
    unfrozen: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_report(folder: str | Path, records: ReportRecords, *, examples: int = 12) -> Path:
    """Writes `report.md` and its pictures `report-*.png` to `folder`.

    Args:
        folder: of the run; an earlier report there is replaced.
        records: of the run.
        examples: the number of rows in the table of errors.

    Returns:
        The path of the report.

    Raises:
        ValueError: the records contradict each other, such as a tree that has more arcs than its sentence has words.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {cell(records.title)}", f"**{records.verdict}**" if records.verdict else "", _summary(records)]
    if any("loss" in record or "eval_loss" in record for record in records.history):
        plot_history(
            records.history, folder / "report-history.png", metric=records.metric,
            higher_is_better=records.higher_is_better, unfrozen=records.unfrozen,
        )  # fmt: skip
        parts += ["## Learning curves", figure("report-history.png", history_caption(records.history, records.metric))]
    split = next((name for name in ("test", "validation") if records.predictions.get(name)), None)
    if split is not None:
        parts += _predictions(folder, records, split, list(records.predictions[split]), examples)
    if records.trainable:
        parts += ["## Trainable parameters over time", f"```text\n{records.trainable.strip()}\n```"]
    if records.notes:
        parts += ["## Notes on the data", "\n".join(f"* {_note(note)}" for note in records.notes)]
    report = folder / REPORT_FILE
    write_text(report, "\n\n".join(part for part in parts if part) + "\n")
    return report


def kind_of(predictions: Sequence[Mapping[str, Any]]) -> Kind:
    """The kind of a model's predictions, from their form.

    Raises:
        ValueError: no prediction has a gold answer.
    """
    first = next((record for record in predictions if record.get("gold") is not None), None)
    if first is None:
        raise ValueError(f"None of the {len(predictions)} predictions has a gold answer; give at least one.")
    gold, text = first["gold"], first["text"]
    if isinstance(gold, Mapping) and "heads" in gold:
        return "trees"
    if isinstance(gold, (int, float)) and not isinstance(gold, bool):
        return "number"
    if isinstance(gold, list):
        # The text is a list for tagged words and for a pair of texts; only the labels of a pair have probabilities by
        # name.
        return "tags" if isinstance(text, list) and first.get("probabilities") is None else "several_classes"
    return "classes" if first.get("probabilities") is not None else "text"


def _summary(records: ReportRecords) -> str:
    splits = [name for name in ("validation", "test") if any(key.startswith(f"{name}_") for key in records.metrics)]
    names: list[str] = []
    for split in splits:
        for key, value in records.metrics.items():
            name = key.removeprefix(f"{split}_")
            if key != name and isinstance(value, (int, float)) and name not in names:
                names.append(name)
    names.sort(key=lambda name: (name != records.metric, name == "loss"))
    rows = []
    for name in names:
        values = [records.metrics.get(f"{split}_{name}") for split in splits]
        rows.append([name if name != records.metric else f"**{name}**", *map(_score, values)])
    lines = [table(["", *splits], rows)] if rows else []
    for split in splits:
        predictions = records.predictions.get(split)
        if predictions and records.kind == "classes":
            tp = sum(record["gold"] == record["predicted"] for record in predictions)
            low, high = wilson_interval(tp, len(predictions))
            lines.append(
                f"On the {split} split, {tp:,} of {len(predictions):,} rows are correct. The 95 % confidence interval "
                f"of the accuracy is {low:.1%} to {high:.1%} (Wilson)."
            )
    lines += ["\n".join(f"* {name}: {value}" for name, value in records.facts.items() if value)]
    return "\n\n".join(line for line in lines if line)


def _predictions(
    folder: Path, records: ReportRecords, split: str, predictions: list[Mapping[str, Any]], examples: int
) -> list[str]:
    """The sections for this kind of prediction."""
    where = f"{len(predictions):,} {split} rows"
    if records.kind == "number":
        return number_section(folder, predictions, where, examples)
    if records.kind == "trees":
        return tree_section(folder, predictions, where, min(examples, 4))
    if records.kind == "tags":
        return [
            *tag_section(folder, predictions, records.labels, where, examples),
            *calibration_section(folder, predictions),
        ]
    if records.kind == "text":
        return example_section(predictions, where, examples)
    parts = class_section(folder, predictions, records.labels, where, several=records.kind == "several_classes")
    return [*parts, *calibration_section(folder, predictions), *error_section(predictions, where, examples)]


def _score(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _note(note: str) -> str:
    first, *rest = note.strip().splitlines()
    return "\n".join([cell(first), *(f"  {cell(line.strip())}<br>" for line in rest)])
