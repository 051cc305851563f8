"""`python -m benchmarks.transfer.label_efficiency {imdb,nsmc}`: accuracy over the number of labels for three arms.

The arms are the same small backbone with random weights (scratch), pretrained on general text, and pretrained and then
adapted to unlabelled text of the domain. Each is fine-tuned with 100, 500, 1,000, 5,000 and all labels, with three
seeds up to 1,000 labels (which also sample other rows) and one above. All arms share a tokenizer that is trained on
unlabelled text of both kinds. Sizes and epochs are chosen for two CPU cores: about 60 to 90 minutes for one data set.
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

ARMS = ("scratch", "pretrained", "adapted")
BAG_OF_WORDS = "bag_of_words"  # of another benchmark; see `with_bag_of_words`
TITLES = {
    "bag_of_words": "bag of words",
    "scratch": "from scratch",
    "pretrained": "pretrained",
    "adapted": "pretrained and adapted",
}


@dataclass(frozen=True)
class Setting:
    """The setting that all runs of a data set share.

    Attributes:
        backbone: the backbone.
        pretrain_steps: updates of pretraining, each with `backbone.tokens` tokens.
        adapt_steps: updates of the adaptation.
        max_tokens: texts are truncated to this length in fine-tuning.
        epochs: epochs of fine-tuning, for each entry of `labels`.
        batches: batch sizes of fine-tuning, for each entry of `labels`.
        rate: peak learning rate of all layers in fine-tuning.
        scratch_rate: the same from random weights, where nothing can be forgotten.
        labels: numbers of labelled rows; None is all.
        limit: maximum number of rows of each file, for a trial.
        many: there are three seeds up to this number of labels, and one above.
    """

    backbone: Backbone = field(default_factory=Backbone)
    pretrain_steps: int = 1000
    adapt_steps: int = 1200
    max_tokens: int = 128
    epochs: tuple[float, ...] = (20, 5, 4, 3, 2)
    batches: tuple[int, ...] = (16, 16, 32, 32, 64)
    rate: float = 5e-4
    scratch_rate: float = 1e-3
    labels: tuple[int | None, ...] = (100, 500, 1000, 5000, None)
    limit: int | None = None
    many: int = 1000


SETTINGS = {
    "imdb": Setting(),
    "nsmc": Setting(
        backbone=Backbone(row=128, positions=128), pretrain_steps=400, adapt_steps=1000, max_tokens=64,
        epochs=(10, 5, 4, 3, 2), batches=(16, 16, 32, 32, 128),
    ),
}  # fmt: skip
CORPORA = {"imdb": corpora.imdb, "nsmc": corpora.nsmc}


def setting_of(name: str, options: argparse.Namespace) -> Setting:
    """The setting of a data set with the chosen precision; a fraction of it with `--quick`."""
    setting = SETTINGS[name]
    setting = replace(setting, backbone=replace(setting.backbone, precision=options.precision))
    return quick(setting) if options.quick else setting


def quick(setting: Setting) -> Setting:
    """A fraction of a setting, to test that it works."""
    backbone = replace(QUICK, objective=setting.backbone.objective, precision=setting.backbone.precision)
    return replace(
        setting, backbone=backbone, pretrain_steps=6, adapt_steps=6, max_tokens=32, epochs=(1, 1), batches=(8, 8),
        labels=(20, None), limit=120, many=20,
    )  # fmt: skip


def trained_models(folder: Path, name: str, setting: Setting) -> tuple[corpora.Corpora, dict[str, Path]]:
    """The texts and the base model of each arm of a data set, trained if they do not exist.

    Other benchmarks start from them as well.
    """
    texts = CORPORA[name](folder / "data", setting.limit)
    tokenizer = steps.make_tokenizer(
        folder / "tokenizer", setting.backbone, [texts.general / "train.parquet", texts.domain / "train.parquet"]
    )
    pretrained = steps.pretrain(
        folder / "pretrained", setting.backbone, texts.general, tokenizer, setting.pretrain_steps
    )
    adapted = steps.adapt(
        folder / "adapted", setting.backbone, pretrained, texts.domain, texts.general, setting.adapt_steps
    )
    return texts, {"scratch": pretrained, "pretrained": pretrained, "adapted": adapted}


def fields_of(setting: Setting, data: Path, index: int, seed: int, *, scratch: bool, test: bool) -> dict[str, Any]:
    """The fields of the recipe of one fine-tuning; `index` is that of its entry of `setting.labels`."""
    return {
        "data.path": data,
        "data.max_labels": setting.labels[index],
        "data.sample_seed": seed,
        "from_scratch": scratch,
        "text_length.max_tokens": setting.max_tokens,
        "head.pooling": "concat",
        "rates.learning_rate": setting.scratch_rate if scratch else setting.rate,
        "rates.layerwise_lr_decay": 1,
        "training.num_train_epochs": setting.epochs[index],
        "training.per_device_train_batch_size": setting.batches[index],
        "training.seed": seed,
        "training.precision": setting.backbone.precision,
        # One evaluation at the end: no epoch is selected, and evaluations would take as long as the training.
        "evaluation.eval_steps": 10**6,
        "evaluation.load_best_model_at_end": False,
        "evaluation.test": test,
    }


def score_of(test: bool) -> str:
    """The main metric of a cell."""
    return "test_accuracy" if test else "validation_accuracy"


def cells_of(name: str, setting: Setting, folder: Path, test: bool) -> list[Cell]:
    """All runs, ordered by the number of labels."""
    cells = []
    for index, labels in enumerate(setting.labels):
        seeds = range(3 if labels is not None and labels <= setting.many else 1)
        for seed in seeds:
            for arm in ARMS:
                label = "all" if labels is None else labels
                # One folder for each run, so that several processes can share the work.
                run = folder / "finetuned" / f"{arm}-{label}-{seed}"
                cells.append(
                    Cell(
                        f"{name}-{arm}-{label}-{seed}",
                        {"data": name, "arm": arm, "labels": label, "seed": seed},
                        _run(name, setting, folder, run, arm, index, seed, test),
                        needs=(score_of(test),),
                    )
                )
    return cells


def _run(name: str, setting: Setting, folder: Path, output: Path, arm: str, index: int, seed: int, test: bool) -> Any:
    def run() -> dict[str, Any]:
        texts, models = trained_models(folder, name, setting)
        fields = fields_of(setting, texts.labelled, index, seed, scratch=arm == "scratch", test=test)
        results = steps.finetune(output, models[arm], "classification", fields)
        names = ("validation_accuracy", "validation_loss", "test_accuracy", "test_loss", "steps", "training_seconds")
        return {key: results[key] for key in names if key in results} | {"train_rows": results["run"]["train_rows"]}

    return run


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each number of labels, a column for each arm, and the difference to scratch."""
    score = record["score"]
    groups = grouped(record["cells"], ("labels", "arm"), score)
    labels = list(dict.fromkeys(cell["labels"] for cell in record["cells"]))
    split = score.split("_")[0]
    arms = [*([BAG_OF_WORDS] if any(arm == BAG_OF_WORDS for _, arm in groups) else []), *ARMS]
    lines = [
        f"Accuracy on the {split} rows of {record['data']} in percent; mean ± standard deviation over three seeds "
        "if there are three.",
        "",
        "| labels | " + " | ".join(TITLES[arm] for arm in arms) + " | adapted − scratch |",
        "| ---: |" + " ---: |" * (len(arms) + 1),
    ]
    for count in labels:
        values = [groups.get((count, arm)) for arm in arms]
        gain = ""
        scratch, adapted = groups.get((count, "scratch")), groups.get((count, "adapted"))
        if scratch and adapted:
            gain = f"{100 * (mean_and_spread(adapted)[0] - mean_and_spread(scratch)[0]):+.1f}"
        name = f"{count:,}" if isinstance(count, int) else f"all ({_all_rows(record):,})"
        lines.append(f"| {name} | {' | '.join(shown(value) for value in values)} | {gain} |")
    return "\n".join([*lines, "", *claims(groups)])


def with_bag_of_words(record: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The record with the cells of the benchmark `bag_of_words` on the same data set, labels and split."""
    split = record["score"].split("_")[0]
    labels = {cell["labels"] for cell in record["cells"]}
    cells = [
        {**cell, "arm": BAG_OF_WORDS}
        for cell in (other["cells"] if other["split"] == split else ())
        if cell["data"] == record["data"] and cell["labels"] in labels
    ]
    return {**record, "cells": [*record["cells"], *cells]}


def claims(groups: dict[tuple, list[float]]) -> list[str]:
    """The two claims of the benchmark with the measured values."""
    lines = []

    def mean(labels: int, arm: str) -> float | None:
        values = groups.get((labels, arm))
        return mean_and_spread(values)[0] if values else None

    few, many = mean(500, "adapted"), mean(5000, "scratch")
    if few is not None and many is not None:
        verdict = "as good as" if few >= many else "not as good as"
        lines.append(
            f"* With adaptation, 500 labels are {verdict} 5,000 from scratch: {100 * few:.1f} and {100 * many:.1f}."
        )
    low, base = mean(100, "adapted"), mean(100, "scratch")
    if low is not None and base is not None:
        lines.append(
            f"* With 100 labels, adaptation gains {100 * (low - base):+.1f} points over scratch (target: at least +15)."
        )
    return lines


def plot(record: dict[str, Any], path: Path) -> None:
    """Plots accuracy over the number of labels (logarithmic), a line with error bars for each arm."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = grouped(record["cells"], ("labels", "arm"), record["score"])
    counts = {count: count if isinstance(count, int) else _all_rows(record) for count, _ in groups}
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for arm, color in zip(ARMS, ("#999999", "#E69F00", "#0072B2")):
        points = sorted(
            (counts[count], *mean_and_spread(values)) for (count, name), values in groups.items() if name == arm
        )
        if points:
            positions, means, spreads = zip(*points)
            axes.errorbar(
                positions, [100 * mean for mean in means], [100 * spread for spread in spreads], label=TITLES[arm],
                color=color, marker="o", capsize=3,
            )  # fmt: skip
    axes.set(xscale="log", xlabel="labels", ylabel=f"accuracy on {record['score'].split('_')[0]} rows, %")
    axes.set_title(record["data"])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)


def _all_rows(record: dict[str, Any]) -> int:
    return max(cell["train_rows"] for cell in record["cells"])


def main(arguments: list[str] | None = None) -> None:
    """Runs the missing cells; writes record and plot, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.label_efficiency", description=__doc__)
    parser.add_argument("data", choices=sorted(SETTINGS))
    parser.add_argument(
        "--objective", choices=("causal", "masked"), help="train a decoder (causal) or an encoder (masked)"
    )
    parser.add_argument("--labels", type=int, nargs="+", help="run only these numbers of labels (0: all)")
    parser.add_argument("--test", action="store_true", help="also score the test rows, after all choices are made")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    setting = setting_of(options.data, options)
    if options.objective:
        setting = replace(setting, backbone=replace(setting.backbone, objective=options.objective))
    name = f"{options.data}-{setting.backbone.objective}"
    folder = options.folder / folder_name(name, options)
    cells = cells_of(options.data, setting, folder, options.test)
    numbers = {count or "all" for count in options.labels or [cell.fields["labels"] for cell in cells]}
    chosen_cells = [cell for cell in cells if cell.fields["labels"] in numbers]
    file = record_file(f"label_efficiency_{name}", folder, options, quick="-quick")
    records = results_of(chosen_cells, cells, folder / "cells", file, asdict(setting), options)
    record = {
        "benchmark": "label_efficiency", "machine": machine(), "data": options.data, "score": score_of(options.test),
        "quick": options.quick, "setting": asdict(setting), "cells": records,
    }  # fmt: skip
    plot(record, file.with_suffix(".png"))
    write_record(file, record, table(record), f", {file.with_suffix('.png').name}")


if __name__ == "__main__":
    main()
