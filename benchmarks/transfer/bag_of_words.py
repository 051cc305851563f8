"""`python -m benchmarks.transfer.bag_of_words`: what a bag of words reaches with the same labels.

The rows of `label_efficiency` (the same training rows of each seed, validation rows and test rows) for IMDb and NSMC,
and RT polarity: TF-IDF of words and pairs (Korean: of characters) with logistic regression, as `--comparison.start
bag_of_words` trains it. Also few labels: 8, 16 and 32 of each class with ten seeds. The regulariser is chosen on
validation rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..records import RESULTS, machine, read_json
from . import corpora
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

LABELS: tuple[int | None, ...] = (16, 32, 64, 100, 500, 1000, 5000, None)
FEW = (16, 32, 64)  # 8, 16 and 32 of each of two classes
DATA: dict[str, Callable[[Path, int | None], Path]] = {
    "imdb": lambda folder, limit: corpora.imdb(folder, limit).labelled,
    "nsmc": lambda folder, limit: corpora.nsmc(folder, limit).labelled,
    "rt_polarity": corpora.rt_polarity,
}
TITLES = {"imdb": "IMDb", "nsmc": "NSMC", "rt_polarity": "RT polarity"}


def seeds_of(labels: int | None) -> int:
    """Ten seeds for few labels, three up to 1,000, as in `label_efficiency`, and one above."""
    if labels in FEW:
        return 10
    return 3 if labels is not None and labels <= 1000 else 1


def cells_of(names: list[str], folder: Path, limit: int | None, test: bool) -> list[Cell]:
    """All runs, ordered by data set and number of labels."""
    return [
        Cell(
            f"{name}-{labels or 'all'}-{seed}",
            {"data": name, "labels": labels or "all", "seed": seed},
            _run(name, folder, labels, seed, limit, test),
            needs=("test_accuracy" if test else "validation_accuracy",),
        )
        for name in names
        for labels in LABELS
        for seed in range(seeds_of(labels))
    ]


def _run(name: str, folder: Path, labels: int | None, seed: int, limit: int | None, test: bool) -> Any:
    def run() -> dict[str, Any]:
        import datasets

        from hf_vanilla_transformer.training.finetuning.bag_of_words import BagOfWords
        from hf_vanilla_transformer.training.finetuning.labelled_rows import draw_rows

        path = DATA[name](folder / "data" / name, limit)
        rows = {
            split: datasets.Dataset.from_parquet(str(path / f"{split}.parquet"))
            for split in ("train", "validation", *(("test",) if test else ()))
        }
        if labels is not None:
            rows["train"] = draw_rows(rows["train"], labels, list(rows["train"]["label"]), seed)

        def accuracy(model: BagOfWords, split: str) -> float:
            return float((model.predict(texts[split]).argmax(-1) == np.array(rows[split]["label"])).mean())

        texts = {split: list(one["text"]) for split, one in rows.items()}
        started = time.perf_counter()
        model = BagOfWords.fit(
            "single", 2, texts["train"], list(rows["train"]["label"]),
            better=lambda model: accuracy(model, "validation"),
        )  # fmt: skip
        trained = time.perf_counter() - started
        scores = {f"{split}_accuracy": accuracy(model, split) for split in rows if split != "train"}
        return {
            **scores, "training_seconds": round(trained, 2), "train_rows": len(texts["train"]),
            "strength": model.strength, "terms": len(model.terms), "megabytes": round(model.megabytes, 2),
        }  # fmt: skip

    return run


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each number of labels, and for each data set a column and its seconds of training."""
    split = record["split"]
    names = list(dict.fromkeys(cell["data"] for cell in record["cells"]))
    scores = grouped(record["cells"], ("labels", "data"), f"{split}_accuracy")
    seconds = grouped(record["cells"], ("labels", "data"), "training_seconds")
    lines = [
        f"Accuracy of a bag of words on the {split} rows in percent; mean ± standard deviation over ten seeds up to 64 "
        "labels (8, 16 and 32 of each class) and three up to 1,000, one above. In brackets the mean seconds of "
        f"training with {len(_strengths())} strengths of the regulariser.",
        "",
        "| labels | " + " | ".join(TITLES[name] for name in names) + " |",
        "| ---: |" + " ---: |" * len(names),
    ]
    for count in dict.fromkeys(cell["labels"] for cell in record["cells"]):
        row = []
        for name in names:
            values = scores.get((count, name))
            row.append(f"{shown(values)} ({np.mean(seconds[count, name]):.1f} s)" if values else "")
        lines.append(f"| {f'{count:,}' if isinstance(count, int) else count} | {' | '.join(row)} |")
    return "\n".join(lines)


def plot(record: dict[str, Any], path: Path, results: Path = RESULTS) -> None:
    """Accuracy over the number of labels: the bag of words, and the adapted model of `label_efficiency` if it is there.

    Args:
        record: of this benchmark.
        path: of the picture.
        results: folder of the records of `label_efficiency`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(cell["data"] for cell in record["cells"]))
    figure = Figure(figsize=(4 * len(names), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names):
        score = f"{record['split']}_accuracy"
        lines = {"bag of words": [cell for cell in record["cells"] if cell["data"] == name]}
        file = results / f"label_efficiency_{name}-causal.json"
        if file.is_file() and (other := read_json(file))["score"] == score:
            lines["pretrained and adapted"] = [cell for cell in other["cells"] if cell["arm"] == "adapted"]
        for (title, cells), color in zip(lines.items(), ("#D55E00", "#0072B2")):
            points = sorted(
                (rows, *mean_and_spread(values)) for (rows,), values in grouped(cells, ("train_rows",), score).items()
            )
            positions, means, spreads = zip(*points)
            axes.errorbar(
                positions, [100 * mean for mean in means], [100 * spread for spread in spreads], label=title,
                color=color, marker="o", capsize=3,
            )  # fmt: skip
        axes.set(xscale="log", xlabel="labels", title=TITLES[name])
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_ylabel(f"accuracy on {record['split']} rows, %")
    figure.savefig(path, dpi=110)


def _strengths() -> tuple[float, ...]:
    from hf_vanilla_transformer.training.finetuning.bag_of_words import STRENGTHS

    return STRENGTHS


def main(arguments: list[str] | None = None) -> None:
    """Runs the missing cells; writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.bag_of_words", description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--test", action="store_true", help="also score the test rows, after all choices are made")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    folder = options.folder / folder_name("bag_of_words", options)
    limit = 120 if options.quick else None
    setting = {"limit": limit, "strengths": list(_strengths())}
    chosen = cells_of(options.data, folder, limit, options.test)
    every = cells_of(list(DATA), folder, limit, options.test)
    file = record_file("transfer_bag_of_words", folder, options)
    records = results_of(chosen, every, folder / "cells", file, setting, options)
    record = {
        "benchmark": "bag_of_words", "machine": machine(), "quick": options.quick,
        "split": "test" if options.test else "validation", "setting": setting, "cells": records,
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    plot(record, file.with_suffix(".png"))
    write_record(file, record, table(record), f", {file.with_suffix('.png').name}")


if __name__ == "__main__":
    main()
