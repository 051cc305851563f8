"""`python -m benchmarks.transfer.ablation`: the effect of each technique of Howard and Ruder 2018 on a Transformer.

The adapted model of `label_efficiency` for IMDb is fine-tuned as there, and in variants that change one thing at a time
(the comparisons of the paper's tables 4 to 7), with 100 and 500 labels and three seeds. All variants are scored on the
validation rows, on which the defaults were chosen; the test rows are not used.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..allocator import restart_tuned
from ..records import machine
from . import steps
from .cells import (
    Cell,
    common_arguments,
    folder_name,
    grouped,
    mean_and_spread,
    record_file,
    results_of,
    shown,
    write_record,
)
from .forgetting import adapted_model
from .label_efficiency import Setting, fields_of, setting_of, trained_models

UNCHANGED = "unchanged"
# Learning rates that decay from layer to layer allow a higher rate of the top layer.
DISCRIMINATIVE = {"rates.layerwise_lr_decay": 2.6, "rates.learning_rate": 2e-3}
GRADUAL = {"unfreezing.mode": "gradual", "unfreezing.every_epochs": 0.5}
# Name: the corresponding part of the paper, and the changed fields.
VARIANTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    UNCHANGED: ("", {}),
    "discriminative rates": ("table 6", DISCRIMINATIVE),
    "gradual unfreezing": ("table 6", GRADUAL),
    "discriminative rates and gradual unfreezing": ("table 6", {**DISCRIMINATIVE, **GRADUAL}),
    "linear schedule": ("table 6, without slanted triangular rates", {"rates.lr_scheduler_type": "linear"}),
    "cosine schedule": ("table 6", {"rates.lr_scheduler_type": "cosine"}),
    "last state only": ("section 3.3, without concat pooling", {"head.pooling": "last"}),
    "mean state only": ("section 3.3, without concat pooling", {"head.pooling": "mean"}),
    "frozen backbone": ("table 6, last layer", {"backbone.train": "frozen"}),
    "LoRA": ("not in the paper", {"backbone.train": "lora"}),
    "adapted from the base model's embeddings": ("not in the paper", {"start": "plain"}),
    "domain embeddings without training": ("not in the paper", {"start": "initial"}),
    "not adapted": ("table 5, without fine-tuning the language model", {"start": "pretrained"}),
    "from random weights": ("table 4, without pretraining", {"start": "scratch"}),
    "backward language model": ("table 7", {"start": "backward"}),
    "forward and backward together": ("table 7, bidirectional", {"start": "both"}),
}
LABELS = (100, 500)


def overrides(variant: str) -> dict[str, Any]:
    """The fields of a variant without `start`.

    Raises:
        ValueError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r} must be one of {', '.join(VARIANTS)}")
    changed = VARIANTS[variant][1]
    return {name: value for name, value in changed.items() if name != "start"}


def backward_model(folder: Path, setting: Setting) -> Path:
    """A right-to-left language model, pretrained and adapted on the same texts with the same tokenizer."""
    texts, _ = trained_models(folder, "imdb", setting)
    pretrained = steps.pretrain(
        folder / "backward-pretrained", setting.backbone, texts.general, folder / "tokenizer", setting.pretrain_steps,
        reverse=True,
    )  # fmt: skip
    return steps.adapt(
        folder / "backward-adapted", setting.backbone, pretrained, texts.domain, texts.general, setting.adapt_steps
    )


def cells_of(setting: Setting, folder: Path, variants: list[str], labels: tuple[int, ...], seeds: int) -> list[Cell]:
    """All runs, ordered by seed, so that a table of one seed is available early."""
    cells = []
    for seed in range(seeds):
        for count in labels:
            for variant in variants:
                name = f"ablation-{variant.replace(' ', '-').replace(',', '')}-{count}-{seed}"
                run = _run(setting, folder, folder / "finetuned" / name, variant, count, seed)
                cells.append(Cell(name, {"variant": variant, "labels": count, "seed": seed}, run))
    return cells


def _run(setting: Setting, folder: Path, output: Path, variant: str, labels: int, seed: int) -> Any:
    def run() -> dict[str, Any]:
        texts, models = trained_models(folder, "imdb", setting)
        start = VARIANTS[variant][1].get("start", "adapted")
        models["initial"] = models["adapted"] / "start"  # the initial model of the adaptation
        models["both"] = models["adapted"]
        if start in ("backward", "both"):
            models["backward"] = backward_model(folder, setting)
        if start == "plain":
            models["plain"] = adapted_model(folder, setting, "plain")
        index = setting.labels.index(labels)
        fields = fields_of(setting, texts.labelled, index, seed, scratch=start == "scratch", test=False)
        fields |= overrides(variant)
        if start == "both":
            fields["backward_base_model"] = models["backward"]
        results = steps.finetune(output, models[start], "classification", fields)
        return {name: results[name] for name in ("validation_accuracy", "validation_loss", "steps", "training_seconds")}

    return run


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each variant with its difference in points."""
    groups = grouped(record["cells"], ("variant", "labels"), "validation_accuracy")
    labels = sorted({cell["labels"] for cell in record["cells"]})
    lines = [
        "Accuracy on the validation rows of IMDb in percent (mean ± standard deviation over the seeds), and the "
        "difference to the unchanged setting, for each number of labels.",
        "",
        "| variant | in the paper | " + " | ".join(f"{count:,} labels | " for count in labels) + "|",
        "| --- | --- |" + " ---: | ---: |" * len(labels),
    ]
    for variant, (source, _) in VARIANTS.items():
        if not any((variant, count) in groups for count in labels):
            continue
        columns = []
        for count in labels:
            values, base = groups.get((variant, count)), groups.get((UNCHANGED, count))
            difference = ""
            if values and base and variant != UNCHANGED:
                difference = f"{100 * (mean_and_spread(values)[0] - mean_and_spread(base)[0]):+.1f}"
            columns += [shown(values), difference]
        lines.append(f"| {variant} | {source} | {' | '.join(columns)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Runs the missing cells; writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.ablation", description=__doc__)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="NAME", help="; ".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: %(default)s)")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    for variant in options.variants:
        overrides(variant)
    setting, labels = setting_of("imdb", options), (20,) if options.quick else LABELS
    folder = options.folder / folder_name(f"imdb-{setting.backbone.objective}", options)
    seeds = 1 if options.quick else options.seeds
    chosen_cells, every = (
        cells_of(setting, folder, names, labels, seeds) for names in (options.variants, list(VARIANTS))
    )
    file = record_file("transfer_ablation", folder, options)
    records = results_of(chosen_cells, every, folder / "cells", file, asdict(setting), options)
    record = {
        "benchmark": "ablation", "machine": machine(), "quick": options.quick, "setting": asdict(setting),
        "cells": records,
    }  # fmt: skip
    write_record(file, record, table(record))


if __name__ == "__main__":
    main()
