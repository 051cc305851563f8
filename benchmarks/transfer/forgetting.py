"""`python -m benchmarks.transfer.forgetting`: how much a model forgets, and which techniques reduce it.

1. The perplexity of general text before and after the adaptation to film reviews: plain, with replay of 20 % general
   text, with L2-SP, with both, and with embeddings that are initialized for the domain.
2. The accuracy on a first task (sentiment of reviews) after fine-tuning on a second task (the category of a paragraph
   of Brown), with and without the techniques that should protect the backbone. The head of the first task is unchanged;
   its backbone is that of the second task.
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
from .label_efficiency import Setting, fields_of, setting_of, trained_models

# Name: fields of `adaptation`. An update pulls the weights back by the strength of L2-SP times the learning rate.
OF_BASE_MODEL = {"embeddings": "base_model"}
ADAPTATIONS: dict[str, dict[str, Any]] = {
    "plain": OF_BASE_MODEL,
    "replay 20 %": {**OF_BASE_MODEL, "replay": 0.2},
    "L2-SP": {**OF_BASE_MODEL, "l2_sp": 1.0},
    "replay 20 % and L2-SP": {**OF_BASE_MODEL, "replay": 0.2, "l2_sp": 1.0},
    "embeddings of the domain": {},  # the adapted model of label_efficiency
}
# Name: fields of the recipe of the second task.
SECOND_TASKS: dict[str, dict[str, Any]] = {
    "one rate, all layers at once": {"rates.layerwise_lr_decay": 1, "rates.lr_scheduler_type": "linear"},
    "discriminative rates": {"rates.layerwise_lr_decay": 2.6},
    "discriminative rates, gradual unfreezing": {"rates.layerwise_lr_decay": 2.6, "unfreezing.mode": "gradual"},
    "LoRA": {"backbone.train": "lora", "rates.layerwise_lr_decay": 1},
    "frozen backbone": {"backbone.train": "frozen"},
}


def adaptation_cells(setting: Setting, folder: Path) -> list[Cell]:
    """The perplexities of each adaptation."""
    return [
        Cell(f"adaptation-{_slug(name)}", {"part": "adaptation", "way": name}, _adaptation(setting, folder, name))
        for name in ADAPTATIONS
    ]


def adapted_model(folder: Path, setting: Setting, name: str) -> Path:
    """Trains one of the `ADAPTATIONS`, if it does not exist."""
    texts, models = trained_models(folder, "imdb", setting)
    if not ADAPTATIONS[name]:
        return models["adapted"]
    return steps.adapt(
        folder / f"adapted-{_slug(name)}", setting.backbone, models["pretrained"], texts.domain, texts.general,
        setting.adapt_steps, **ADAPTATIONS[name],
    )  # fmt: skip


def _adaptation(setting: Setting, folder: Path, name: str) -> Any:
    def run() -> dict[str, Any]:
        import json

        run_folder = adapted_model(folder, setting, name)
        adaptation = json.loads((run_folder / "results.json").read_text(encoding="utf-8"))["adaptation"]
        unit, history = adaptation["unit"], adaptation["history"]
        return {
            f"{text}_{when}": history[place][text][unit]
            for text in ("domain", "general")
            for when, place in (("before", 0), ("after", -1))
        }

    return run


def second_task_cells(setting: Setting, folder: Path, seeds: int) -> list[Cell]:
    """The accuracy on the first task after the second, for each of `SECOND_TASKS`."""
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

        texts, models = trained_models(folder, "imdb", setting)
        labels = min(len(setting.labels) - 1, 3)
        fields = fields_of(setting, texts.labelled, labels, seed, scratch=False, test=False)
        first = folder / f"first-task-{seed}"
        if not (first / "results.json").is_file():
            steps.finetune(first, models["adapted"], "classification", fields)
        before = json.loads((first / "results.json").read_text(encoding="utf-8"))["validation_accuracy"]
        paragraphs = corpora.genres(folder / "data" / "genres", setting.limit)
        second_fields = {**fields, "data.path": paragraphs, **SECOND_TASKS[name]}
        second = folder / "finetuned" / "second-task"
        results = steps.finetune(second, first, "classification", second_fields)
        return {
            "first_before": before,
            "first_after": accuracy_with_backbone(first, second),
            "second": results["validation_accuracy"],
        }

    return run


def accuracy_with_backbone(first: Path, second: Path) -> float:
    """The accuracy of the first run's head on the second run's backbone, on the first run's validation rows."""
    from transformers import AutoModelForSequenceClassification

    from hf_vanilla_transformer.training.finetuning.finetuning_run import FinetuningRun
    from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe

    prepared = FinetuningRun.prepare(load_finetune_recipe(first))
    model, other = (AutoModelForSequenceClassification.from_pretrained(run / "model") for run in (first, second))
    model.base_model.load_state_dict(other.base_model.state_dict())
    rows = prepared.splits.validation
    predictions = prepared.task.predict(model.eval(), prepared.tokenizer, rows)
    return prepared.task.metrics(predictions)["accuracy"]


def table(record: dict[str, Any]) -> str:
    """Markdown: perplexities of each adaptation, then the accuracies of each second task."""
    adaptations = [cell for cell in record["cells"] if cell["part"] == "adaptation"]
    lines = [
        "Perplexity per token on validation text; general text is Brown and WikiText, domain text is IMDb.",
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
            "| training of the second task | first task before | after the second | forgotten | second task |",
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
    """Plots the change of the perplexity of domain and general text, two bars for each adaptation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    adaptations = [cell for cell in record["cells"] if cell["part"] == "adaptation"]
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for shift, text, color in ((-0.2, "domain", "#0072B2"), (0.2, "general", "#D55E00")):
        changes = [100 * (cell[f"{text}_after"] / cell[f"{text}_before"] - 1) for cell in adaptations]
        bars = axes.bar(
            [position + shift for position in range(len(changes))], changes, 0.4, color=color, label=f"{text} text"
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
    """Runs the missing cells; writes record and plot, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.forgetting", description=__doc__)
    parser.add_argument(
        "--seeds", type=int, default=1, help="number of seeds of the second task (default: %(default)s)"
    )
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    setting = setting_of("imdb", options)
    folder = options.folder / folder_name(f"imdb-{setting.backbone.objective}", options)
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
