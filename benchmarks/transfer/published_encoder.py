"""`python -m benchmarks.transfer.published_encoder`: learning rates for fine-tuning a published encoder on few labels.

The encoder is all-MiniLM-L6-v2 (6 layers of width 384; see docs/real-checkpoints.md), and the task is the sentiment of
RT polarity's sentences. Each cell is fine-tuned with one rate for all layers, and scored on 500 rows of the training
file that no cell trains on. The test file is not read.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..allocator import restart_tuned
from ..real_checkpoint import packaged_checkpoint
from ..records import machine
from . import corpora, steps
from .cells import Cell, common_arguments, folder_name, grouped, mean_and_spread, record_file, results_of, write_record

POOLINGS = ("mean", "default")


@dataclass(frozen=True)
class Setting:
    """The setting that all cells share.

    Attributes:
        rates: peak learning rates.
        plans: numbers of labelled rows, with the epochs and the rows of a batch.
        max_tokens: sentences are truncated to this length.
        held: rows of the training file for validation.
        limit: maximum number of rows of the training file, for a trial.
    """

    # The first is 5e-4 * 128 / 384, which is inversely proportional to the width.
    rates: tuple[float, ...] = (1.67e-4, 8e-5, 4e-5)
    plans: tuple[tuple[int, int, int], ...] = ((100, 2, 32), (100, 4, 32), (100, 10, 16), (500, 4, 16))
    max_tokens: int = 40
    held: int = 500
    limit: int | None = None


QUICK = Setting(rates=(1e-3,), plans=((20, 1, 16),), max_tokens=16, held=10, limit=60)


def cells_of(setting: Setting, model: Path | None, folder: Path, seeds: int) -> list[Cell]:
    """All cells, ordered by the number of labels."""
    return [
        Cell(
            f"{labels}-{epochs}x{batch}-{pooling}-{rate}-{seed}",
            {"labels": labels, "epochs": epochs, "batch": batch, "pooling": pooling, "rate": rate, "seed": seed},
            _run(setting, model, folder, (labels, epochs, batch), pooling, rate, seed),
        )
        for labels, epochs, batch in setting.plans
        for seed in range(seeds)
        for pooling in POOLINGS
        for rate in setting.rates
    ]


def _run(
    setting: Setting, model: Path | None, folder: Path, plan: tuple[int, int, int], pooling: str, rate: float, seed: int
) -> Any:  # fmt: skip
    labels, epochs, batch = plan

    def run() -> dict[str, Any]:
        fields = {
            "data.path": corpora.sentences_of_films(folder / "data", setting.held, setting.limit),
            "data.max_labels": labels,
            "data.sample_seed": seed,
            "training.seed": seed,
            "text_length.max_tokens": setting.max_tokens,
            "head.pooling": pooling,
            "rates.learning_rate": rate,
            "training.num_train_epochs": epochs,
            "training.per_device_train_batch_size": batch,
            # One evaluation at the end: no epoch is selected.
            "evaluation.eval_steps": 10**6,
            "evaluation.load_best_model_at_end": False,
            "evaluation.test": False,
        }
        results = steps.finetune(folder / "finetuned", checkpoint_of(model, folder), "classification", fields)
        return {name: results[name] for name in ("validation_accuracy", "validation_loss")}

    return run


def checkpoint_of(model: Path | None, folder: Path) -> Path:
    """The given model, or that of the installed package, unpacked once."""
    if model is not None:
        return model
    unpacked = folder / "checkpoint"
    return unpacked if (unpacked / "config.json").is_file() else packaged_checkpoint(unpacked)


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each plan, pooling and rate."""
    keys = ("labels", "epochs", "batch", "pooling", "rate")
    accuracies = grouped(record["cells"], keys, "validation_accuracy")
    losses = grouped(record["cells"], keys, "validation_loss")
    lines = [
        f"Scores on {record['setting']['held']} validation rows: accuracy in percent (one standard error is about "
        f"{100 * 0.5 / record['setting']['held'] ** 0.5:.0f} points), and cross-entropy; mean ± standard deviation if "
        "there are several seeds.",
        "",
        "| labels | epochs | batch | updates | pooling | learning rate | seeds | accuracy | loss |",
        "| ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for key, values in sorted(accuracies.items(), key=lambda item: (item[0][:4], -item[0][4])):
        labels, epochs, batch, pooling, rate = key
        columns = [labels, epochs, batch, epochs * math.ceil(labels / batch), pooling, f"{rate:.1e}", len(values)]
        columns += [_shown(values, 100, 1), _shown(losses[key], 1, 2)]
        lines.append(f"| {' | '.join(map(str, columns))} |")
    return "\n".join(lines)


def _shown(values: list[float], scale: float, digits: int) -> str:
    mean, spread = mean_and_spread(values)
    return f"{scale * mean:.{digits}f}" + (f" ± {scale * spread:.{digits}f}" if len(values) > 1 else "")


def main(arguments: list[str] | None = None) -> None:
    """Runs the missing cells, writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.published_encoder", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of an encoder (default: that of the installed package)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: %(default)s)")
    parser.add_argument("--labels", type=int, nargs="+", help="run only these numbers of labels")
    parser.add_argument("--pooling", choices=POOLINGS, nargs="+", default=POOLINGS, help="run only these poolings")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    setting = QUICK if options.quick else Setting()
    folder = options.folder / folder_name("published-encoder", options)
    cells = cells_of(setting, options.model, folder, options.seeds)
    labels = options.labels or [plan[0] for plan in setting.plans]
    chosen = [cell for cell in cells if cell.fields["labels"] in labels and cell.fields["pooling"] in options.pooling]
    file = record_file("transfer_published_encoder", folder, options)
    records = results_of(chosen, cells, folder / "cells", file, asdict(setting), options)
    record = {
        "benchmark": "published_encoder", "machine": machine(), "quick": options.quick, "setting": asdict(setting),
        "cells": records,
    }  # fmt: skip
    write_record(file, record, table(record))


if __name__ == "__main__":
    main()
