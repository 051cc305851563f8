"""`python -m benchmarks.transfer.tagging_parsing`: tags, chunks and trees, from scratch and pretrained.

Parts of speech and dependency trees of UD English and Korean, and chunks of CoNLL-2000. A small encoder for each
language is fine-tuned from random weights, and after masked language modeling on Brown and WikiText or on Korean
sentences of several kinds. A tenth of the training sentences is the validation split; the other file of each data set
is the test split.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..allocator import restart_tuned
from ..records import machine
from . import corpora, steps
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
from .steps import QUICK, Backbone


@dataclass(frozen=True)
class Job:
    """A task on a data set.

    Attributes:
        title: title in the table.
        language: language of the encoder.
        data: name of the data set.
        task: task of `hf-vanilla finetune`.
        metrics: metrics in the table, the main one first.
        fields: fields of the recipe that name the columns.
    """

    title: str
    language: str
    data: str
    task: str
    metrics: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)


_TAGS, _TREES = {"data.tags": "upos"}, {"data.heads": "head", "data.relations": "deprel"}
JOBS = {
    "english-tags": Job(
        "parts of speech, UD English EWT", "english", "ud_english_ewt", "token_classification", ("accuracy",), _TAGS
    ),
    "korean-tags": Job(
        "parts of speech, UD Korean GSD", "korean", "ud_korean_gsd", "token_classification", ("accuracy",), _TAGS
    ),
    "chunks": Job(
        "chunks, CoNLL-2000", "english", "conll2000", "token_classification", ("f1",), {"data.tags": "chunk_tags"}
    ),
    "english-trees": Job(
        "trees, UD English EWT", "english", "ud_english_ewt", "dependency_parsing", ("las", "uas"), _TREES
    ),
    "korean-trees": Job(
        "trees, UD Korean GSD", "korean", "ud_korean_gsd", "dependency_parsing", ("las", "uas"), _TREES
    ),
}
TEXTS = {"english": corpora.english, "korean": corpora.korean}
COLUMNS = {"conll2000": ("tokens", "chunk_tags")}
_UD_COLUMNS = ("tokens", "upos", "head", "deprel")
ARMS = ("scratch", "pretrained")


@dataclass(frozen=True)
class Setting:
    """The setting that all runs share.

    Attributes:
        backbone: the encoder.
        pretrain_steps: updates of pretraining, each with `backbone.tokens` tokens.
        epochs: epochs of fine-tuning.
        batch: batch size of fine-tuning.
        rate: learning rate of fine-tuning, the same for all layers. With a rate that grows by a factor of 1.3 from
            layer to layer, the accuracy of tags on validation sentences is 1.5 points lower.
        limit: maximum number of rows of each file, for a trial.
    """

    backbone: Backbone = field(default_factory=lambda: Backbone(objective="masked", vocabulary=10000, rate=2e-3))
    pretrain_steps: int = 1500
    epochs: float = 4
    batch: int = 32
    rate: float = 2e-3
    limit: int | None = None


def quick() -> Setting:
    """A fraction of the setting, to test that it works."""
    return replace(
        Setting(), backbone=replace(QUICK, objective="masked"), pretrain_steps=6, epochs=1, batch=8, limit=60
    )


def pretrained_model(folder: Path, language: str, setting: Setting) -> Path:
    """The pretrained encoder of a language, trained if it does not exist."""
    texts = TEXTS[language](folder / language / "texts", setting.limit)
    tokenizer = steps.make_tokenizer(folder / language / "tokenizer", setting.backbone, [texts / "train.parquet"])
    return steps.pretrain(folder / language / "pretrained", setting.backbone, texts, tokenizer, setting.pretrain_steps)


def cells_of(setting: Setting, folder: Path, jobs: list[str], seeds: int, test: bool) -> list[Cell]:
    """All runs, ordered by seed."""
    return [
        Cell(
            f"{name}-{arm}-{seed}",
            {"job": name, "arm": arm, "seed": seed},
            _run(setting, folder, name, arm, seed, test),
            needs=[f"{'test' if test else 'validation'}_{JOBS[name].metrics[0]}"],
        )
        for seed in range(seeds)
        for name in jobs
        for arm in ARMS
    ]


def _run(setting: Setting, folder: Path, name: str, arm: str, seed: int, test: bool) -> Any:
    def run() -> dict[str, Any]:
        job = JOBS[name]
        columns = COLUMNS.get(job.data, _UD_COLUMNS)
        data = corpora.words(folder / "data" / job.data, job.data, columns, setting.limit)
        fields = {
            **job.fields,
            "data.path": data,
            "data.on_bad_label": "warn",
            "from_scratch": arm == "scratch",
            "rates.learning_rate": setting.rate,
            "rates.layerwise_lr_decay": 1,
            "training.num_train_epochs": setting.epochs,
            "training.per_device_train_batch_size": setting.batch,
            "training.seed": seed,
            "training.precision": setting.backbone.precision,
            "evaluation.eval_steps": 10**6,
            "evaluation.load_best_model_at_end": False,
            "evaluation.test": test,
        }
        base_model = pretrained_model(folder, job.language, setting)
        results = steps.finetune(folder / "finetuned" / name, base_model, job.task, fields)
        return {key: value for key, value in results.items() if key.startswith(("validation_", "test_"))} | {
            "training_seconds": results["training_seconds"]
        }

    return run


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each task and metric: from scratch, pretrained, and the difference."""
    split = record["split"]
    lines = [
        f"In percent on the {split} sentences; mean ± standard deviation if there are several seeds.",
        "",
        "| task | metric | from scratch | pretrained | difference |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, job in JOBS.items():
        cells = [cell for cell in record["cells"] if cell["job"] == name]
        for metric in job.metrics if cells else ():
            groups = grouped(cells, ("arm",), f"{split}_{metric}")
            scratch, pretrained = (groups.get((arm,)) for arm in ARMS)
            difference = ""
            if scratch and pretrained:
                difference = f"{100 * (mean_and_spread(pretrained)[0] - mean_and_spread(scratch)[0]):+.1f}"
            shown_metric = {"accuracy": "accuracy", "f1": "F1"}.get(metric, metric.upper())
            lines.append(f"| {job.title} | {shown_metric} | {shown(scratch)} | {shown(pretrained)} | {difference} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Runs the missing cells; writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.tagging_parsing", description=__doc__)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds (default: %(default)s)")
    parser.add_argument("--test", action="store_true", help="also score the test sentences, after all choices are made")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    setting = quick() if options.quick else Setting()
    setting = replace(setting, backbone=replace(setting.backbone, precision=options.precision))
    folder = options.folder / folder_name("words", options)
    chosen_cells = cells_of(setting, folder, options.jobs, options.seeds, options.test)
    every = cells_of(setting, folder, list(JOBS), options.seeds, options.test)
    split = "test" if options.test else "validation"
    file = record_file("transfer_words", folder, options)
    records = results_of(chosen_cells, every, folder / "cells", file, asdict(setting), options)
    record = {
        "benchmark": "tagging_parsing", "machine": machine(), "quick": options.quick, "split": split,
        "setting": asdict(setting), "cells": records,
    }  # fmt: skip
    write_record(file, record, table(record))


if __name__ == "__main__":
    main()
