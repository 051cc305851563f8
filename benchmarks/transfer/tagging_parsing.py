"""`python -m benchmarks.transfer.tagging_parsing`: tags, chunks and trees, from scratch and pretrained.

Parts of speech and dependency trees of UD English and Korean, chunks of CoNLL-2000. A small encoder (one for each
language, the same for all arms) from random weights, and pretrained with masked words: on Brown and WikiText, or on
Korean sentences of many kinds. A tenth of the training sentences is set apart to choose by; what the sets have beside
their training rows is the test.
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
from .steps import QUICK, Body


@dataclass(frozen=True)
class Job:
    """A task on a set.

    Attributes:
        title: for the table.
        language: of the body.
        data: name of the set.
        task: of `hf-vanilla finetune`.
        metrics: that are shown; the first decides.
        fields: which columns.
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
    """Sizes that all runs have in common.

    Attributes:
        body: an encoder.
        pretrain_steps: updates of `body.tokens` tokens.
        epochs, batch, rate: of the fine-tuning; all layers have one rate (on validation sentences tags are 1.5 points
            worse where each layer's is 1.3 times the one's below).
        limit: rows of each file, for a trial.
    """

    body: Body = field(default_factory=lambda: Body(objective="masked", vocabulary=10000, rate=2e-3))
    pretrain_steps: int = 1500
    epochs: float = 4
    batch: int = 32
    rate: float = 2e-3
    limit: int | None = None


def quick() -> Setting:
    """A fraction of everything."""
    return replace(Setting(), body=replace(QUICK, objective="masked"), pretrain_steps=6, epochs=1, batch=8, limit=60)


def body(folder: Path, language: str, setting: Setting) -> Path:
    """The pretrained body of a language, made once."""
    texts = TEXTS[language](folder / language / "texts", setting.limit)
    tokenizer = steps.make_tokenizer(folder / language / "tokenizer", setting.body, [texts / "train.parquet"])
    return steps.pretrain(folder / language / "pretrained", setting.body, texts, tokenizer, setting.pretrain_steps)


def cells_of(setting: Setting, folder: Path, jobs: list[str], seeds: int, test: bool) -> list[Cell]:
    """All runs, seed after seed."""
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
            "training.precision": setting.body.precision,
            "evaluation.eval_steps": 10**6,
            "evaluation.load_best_model_at_end": False,
            "evaluation.test": test,
        }
        parent = body(folder, job.language, setting)
        results = steps.finetune(folder / "finetuned" / name, parent, job.task, fields)
        return {key: value for key, value in results.items() if key.startswith(("validation_", "test_"))} | {
            "training_seconds": results["training_seconds"]
        }

    return run


def table(record: dict[str, Any]) -> str:
    """Markdown: a line a task, from scratch, pretrained, the difference."""
    split = record["split"]
    lines = [
        f"In percent, on the {split} sentences; mean ± standard deviation where there are several seeds.",
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
    """Run what is missing, then record and table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.tagging_parsing", description=__doc__)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--seeds", type=int, default=1, help="of each (default: %(default)s)")
    parser.add_argument("--test", action="store_true", help="score the test sentences too, once everything is chosen")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    setting = quick() if options.quick else Setting()
    setting = replace(setting, body=replace(setting.body, precision=options.precision))
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
