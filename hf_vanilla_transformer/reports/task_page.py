"""report.md: what a person hands to a colleague when a model was fine-tuned, with its pictures beside it.

Everything on the page is computed from the records a run writes (its scores, its course, one line a prediction), so the
page can be made again from the folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..evaluation.calibration import wilson_interval
from .task_pictures import plot_course, written_aside
from .task_sections import (
    calibration_section,
    class_section,
    course_caption,
    example_section,
    number_section,
    tag_section,
    tree_section,
    wrong_section,
)
from .task_text import cell, figure, table

PAGE_FILE = "report.md"

Kind = Literal["classes", "several_classes", "number", "tags", "trees", "text"]


@dataclass
class PageRecords:
    """What a run wrote down of itself.

    Attributes:
        title: of the page.
        kind: what the model predicts: a class, several classes, a number, a tag for each word, a dependency tree or a
            text.
        metric: the metric that decided what is best.
        higher_is_better: which end of it is best.
        metrics: final scores, as `validation_accuracy` or `test_loss`.
        course: the records of metrics.jsonl.
        predictions: for each split one mapping a row with `text`, `gold`, `predicted`, and `probability`,
            `probabilities` and `extra` where there are any. Trees are `{"heads": [...], "relations": [...]}`.
        labels: names of the classes in the order of the model's outputs.
        facts: what else stands at the top, by name: parent, data, command, hardware.
        trainable: a table of what was trained when.
        unfrozen: for learning curves, what began to be trained at an update.
        notes: rows that were left out, doubtful labels: what the reader should know.
    """

    title: str
    kind: Kind
    metric: str
    metrics: Mapping[str, Any]
    course: Sequence[Mapping[str, Any]] = ()
    predictions: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    labels: Sequence[str] = ()
    higher_is_better: bool = True
    facts: Mapping[str, str] = field(default_factory=dict)
    trainable: str = ""
    unfrozen: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_page(folder: str | Path, records: PageRecords, *, examples: int = 12) -> Path:
    """Writes `report.md` and its pictures `report-*.png` to `folder`.

    Args:
        folder: of the run; an earlier page there is replaced.
        records: what the run wrote down.
        examples: rows of the table of the wrongest predictions.

    Returns:
        The page.

    Raises:
        ValueError: the records contradict each other, such as trees with another number of arcs than words.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {cell(records.title)}", _summary(records)]
    if any("loss" in record or "eval_loss" in record for record in records.course):
        plot_course(
            records.course, folder / "report-course.png", metric=records.metric,
            higher_is_better=records.higher_is_better, unfrozen=records.unfrozen,
        )  # fmt: skip
        parts += ["## Learning curves", figure("report-course.png", course_caption(records.course, records.metric))]
    split = next((name for name in ("test", "validation") if records.predictions.get(name)), None)
    if split is not None:
        parts += _predictions(folder, records, split, list(records.predictions[split]), examples)
    if records.trainable:
        parts += ["## What was trained when", f"```text\n{records.trainable.strip()}\n```"]
    if records.notes:
        parts += ["## What to know about the data", "\n".join(f"* {_note(note)}" for note in records.notes)]
    page = folder / PAGE_FILE
    with written_aside(page) as aside:
        aside.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return page


def kind_of(predictions: Sequence[Mapping[str, Any]]) -> Kind:
    """What a model predicts, from its predictions: a class unless their form says otherwise.

    Raises:
        ValueError: there is no prediction with a right answer.
    """
    first = next((record for record in predictions if record.get("gold") is not None), None)
    if first is None:
        raise ValueError("No prediction has a right answer beside it.")
    gold, text = first["gold"], first["text"]
    if isinstance(gold, Mapping) and "heads" in gold:
        return "trees"
    if isinstance(gold, (int, float)) and not isinstance(gold, bool):
        return "number"
    if isinstance(gold, list):
        # A pair of texts is a list as well, but of two texts, and its labels come with probabilities by name.
        return "tags" if isinstance(text, list) and first.get("probabilities") is None else "several_classes"
    return "classes" if first.get("probabilities") is not None else "text"


def _summary(records: PageRecords) -> str:
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
            right = sum(record["gold"] == record["predicted"] for record in predictions)
            low, high = wilson_interval(right, len(predictions))
            lines.append(
                f"On the {split} rows {right:,} of {len(predictions):,} are right; with so many rows the true accuracy "
                f"lies between {low:.1%} and {high:.1%} (95 % interval of Wilson)."
            )
    lines += ["\n".join(f"* {name}: {value}" for name, value in records.facts.items() if value)]
    return "\n\n".join(line for line in lines if line)


def _predictions(
    folder: Path, records: PageRecords, split: str, predictions: list[Mapping[str, Any]], examples: int
) -> list[str]:
    """The sections that fit the kind of the task."""
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
    return [*parts, *calibration_section(folder, predictions), *wrong_section(predictions, where, examples)]


def _score(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _note(note: str) -> str:
    first, *rest = note.strip().splitlines()
    return "\n".join([cell(first), *(f"  {cell(line.strip())}<br>" for line in rest)])
