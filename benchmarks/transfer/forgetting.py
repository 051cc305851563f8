"""`python -m benchmarks.transfer.forgetting`: what a model forgets, and what keeps it from forgetting.

1. The perplexity of general text before and after the adaptation to film reviews: plain, with a fifth of general text
   replayed, with L2-SP, with both, and where embeddings are first turned to the domain.
2. The accuracy on a first task (sentiment of reviews) after the model was fine-tuned on a second one (the category of a
   paragraph of Brown), with the tricks that are said to protect a body and without. The first task's head stays as it
   was; only the body below it has moved.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..allocator import restart_tuned
from ..records import machine
from . import corpora, steps
from .cells import Cell, common_arguments, folder_name, grouped, record_file, results_of, shown, write_record
from .label_efficiency import Setting, bodies, chosen, fields_of

# How the language model goes on: fields of `adaptation`. An update takes back the strength of L2-SP times the rate.
PARENTS = {"embeddings": "base_model"}
ADAPTATIONS: dict[str, dict[str, Any]] = {
    "plain": PARENTS,
    "replay 20 %": {**PARENTS, "replay": 0.2},
    "L2-SP": {**PARENTS, "l2_sp": 1.0},
    "replay 20 % and L2-SP": {**PARENTS, "replay": 0.2, "l2_sp": 1.0},
    "embeddings of the domain": {},  # the body that learns from few labels
}
# How the second task is learned; fields of the recipe.
SECOND_TASKS: dict[str, dict[str, Any]] = {
    "one rate, all layers at once": {"rates.layerwise_lr_decay": 1, "rates.lr_scheduler_type": "linear"},
    "discriminative rates": {"rates.layerwise_lr_decay": 2.6},
    "discriminative rates, gradual unfreezing": {"rates.layerwise_lr_decay": 2.6, "unfreezing.mode": "gradual"},
    "LoRA": {"backbone.train": "lora", "rates.layerwise_lr_decay": 1},
    "frozen body": {"backbone.train": "frozen"},
}


def adaptation_cells(setting: Setting, folder: Path) -> list[Cell]:
    """The perplexities of each way to adapt."""
    return [
        Cell(f"adaptation-{_slug(name)}", {"part": "adaptation", "way": name}, _adaptation(setting, folder, name))
        for name in ADAPTATIONS
    ]


def adapted_body(folder: Path, setting: Setting, name: str) -> Path:
    """The body that is adapted in one of the `ADAPTATIONS`, made once."""
    texts, parents = bodies(folder, "imdb", setting)
    if not ADAPTATIONS[name]:
        return parents["adapted"]
    return steps.adapt(
        folder / f"adapted-{_slug(name)}", setting.body, parents["pretrained"], texts.domain, texts.general,
        setting.adapt_steps, **ADAPTATIONS[name],
    )  # fmt: skip


def _adaptation(setting: Setting, folder: Path, name: str) -> Any:
    def run() -> dict[str, Any]:
        import json

        made = adapted_body(folder, setting, name)
        adaptation = json.loads((made / "results.json").read_text(encoding="utf-8"))["adaptation"]
        unit, course = adaptation["unit"], adaptation["course"]
        return {
            f"{text}_{when}": course[place][text][unit]
            for text in ("domain", "general")
            for when, place in (("before", 0), ("after", -1))
        }

    return run


def second_task_cells(setting: Setting, folder: Path, seeds: int) -> list[Cell]:
    """The first task after the second, for each way to learn the second."""
    return [
        Cell(
            f"second-task-{_slug(name)}-{seed}",
            {"part": "second task", "way": name, "seed": seed},
            _second_task(setting, folder, name, seed),
        )
        for seed in range(seeds)
        for name in SECOND_TASKS
    ]


def _second_task(setting: Setting, folder: Path, name: str, seed: int) -> Any:
    def run() -> dict[str, Any]:
        import json

        texts, parents = bodies(folder, "imdb", setting)
        labels = min(len(setting.labels) - 1, 3)
        fields = fields_of(setting, texts.labelled, labels, seed, scratch=False, test=False)
        first = folder / f"first-task-{seed}"
        if not (first / "results.json").is_file():
            steps.finetune(first, parents["adapted"], "classification", fields)
        before = json.loads((first / "results.json").read_text(encoding="utf-8"))["validation_accuracy"]
        paragraphs = corpora.genres(folder / "data" / "genres", setting.limit)
        second_fields = {**fields, "data.path": paragraphs, **SECOND_TASKS[name]}
        second = folder / "finetuned" / "second-task"
        learned = steps.finetune(second, first, "classification", second_fields)
        return {
            "first_before": before,
            "first_after": accuracy_with_body(first, second),
            "second": learned["validation_accuracy"],
        }

    return run


def accuracy_with_body(first: Path, second: Path) -> float:
    """The accuracy of the first run's head on the second run's body, on the first run's validation rows."""
    from transformers import AutoModelForSequenceClassification

    from hf_vanilla_transformer.training.finetuning.finetuning_run import prepare
    from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe

    prepared = prepare(load_finetune_recipe(first))
    model, other = (AutoModelForSequenceClassification.from_pretrained(run / "model") for run in (first, second))
    model.base_model.load_state_dict(other.base_model.state_dict())
    rows = prepared.splits.validation
    predictions = prepared.task.predict(model.eval(), prepared.parent.tokenizer, rows)
    return prepared.task.metrics(predictions)["accuracy"]


def table(record: dict[str, Any]) -> str:
    """Markdown: perplexities by way to adapt, then the first task by way to learn the second."""
    adaptations = [cell for cell in record["cells"] if cell["part"] == "adaptation"]
    lines = [
        "Perplexity of a token on validation text; general text is Brown and WikiText, the domain IMDb.",
        "",
        "| adaptation | domain before | after | general before | after | change of the general |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for cell in adaptations:
        change = cell["general_after"] / cell["general_before"] - 1
        columns = [cell[f"{text}_{when}"] for text in ("domain", "general") for when in ("before", "after")]
        lines.append(f"| {cell['way']} | {' | '.join(f'{value:.1f}' for value in columns)} | {change:+.1%} |")
    others = [cell for cell in record["cells"] if cell["part"] == "second task"]
    if others:
        lines += [
            "",
            "Accuracy in percent on validation rows: the first task is sentiment (IMDb), the second the category of a "
            "paragraph of Brown.",
            "",
            "| how the second task is learned | first task before | after the second | forgotten | second task |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        before, after, second = (grouped(others, ("way",), name) for name in ("first_before", "first_after", "second"))
        for key in before:
            lost = [100 * (old - new) for old, new in zip(before[key], after[key])]
            lines.append(
                f"| {key[0]} | {shown(before[key])} | {shown(after[key])} | {shown(lost, percent=False)} | "
                f"{shown(second[key])} |"
            )
    return "\n".join(lines)


def plot(record: dict[str, Any], path: Path) -> None:
    """Two bars a way to adapt: by which factor the perplexity of domain and general text changed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    adaptations = [cell for cell in record["cells"] if cell["part"] == "adaptation"]
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for shift, text, color in ((-0.2, "domain", "#0072B2"), (0.2, "general", "#D55E00")):
        changes = [100 * (cell[f"{text}_after"] / cell[f"{text}_before"] - 1) for cell in adaptations]
        bars = axes.bar(
            [place + shift for place in range(len(changes))], changes, 0.4, color=color, label=f"{text} text"
        )
        axes.bar_label(bars, fmt="%+.0f %%", fontsize=8)
    axes.set_xticks(range(len(adaptations)), [cell["way"] for cell in adaptations])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("change of the perplexity, %")
    axes.margins(y=0.15)
    axes.legend()
    figure.savefig(path, dpi=130)


def _slug(name: str) -> str:
    return name.replace(" %", "").replace(",", "").replace(" ", "-")


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then record, table and plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.forgetting", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="of the second task (default: %(default)s)")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    setting = chosen("imdb", options)
    folder = options.folder / folder_name(f"imdb-{setting.body.objective}", options)
    cells = [*adaptation_cells(setting, folder), *second_task_cells(setting, folder, options.seeds)]
    file = record_file("transfer_forgetting", folder, options)
    records = results_of(cells, cells, folder / "cells", file, asdict(setting), options)
    record = {
        "benchmark": "forgetting", "machine": machine(), "quick": options.quick, "setting": asdict(setting),
        "cells": records,
    }  # fmt: skip
    plot(record, file.with_suffix(".png"))
    write_record(file, record, table(record), f", {file.with_suffix('.png').name}")


if __name__ == "__main__":
    main()
