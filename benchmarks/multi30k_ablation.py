"""`python -m benchmarks.multi30k_ablation`: the effect of each choice of the raw Multi30k recipe.

Trains the recipe, and variants of it that undo one choice each, for the same number of minutes on this machine, and
compares the final models by validation BLEU. The learning rate decays to zero at the end of each run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .multi30k import train
from .records import RESULTS, machine, write_json

RECIPE = "multi30k-en-de-tiny-raw"

# Name: the fields that undo a choice of the recipe.
VARIANTS = {
    "the recipe": {},
    "Adam for all weights": {"training.optim": "adam", "training.weight_decay": "0.0"},
    "Xavier's initial weights": {"model.config.initializer": "xavier"},
    "pre-norm": {"model.config.norm_first": "true"},
    "half the batch size": {"training.tokens_per_batch": "1024"},
    "no dropout": {"model.config.dropout": "0.0"},
    "no weight decay": {"training.weight_decay": "0.0"},
    "random initial embeddings": {"model.initial_embeddings": "random"},
    "punctuation not split off": {"tokenizer.kind": "bpe"},
    "half the learning rate of Muon": {"training.muon_learning_rate": "0.01"},
    "half the learning rate of Adam": {"training.learning_rate": "2.5e-3"},
}


def overrides(variant: str) -> list[str]:
    """The arguments of `hf-vanilla train` for a variant.

    Raises:
        ValueError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r} must be one of {', '.join(VARIANTS)}")
    return [word for field, value in VARIANTS[variant].items() for word in (f"--{field}", value)]


def result(folder: Path) -> dict[str, Any]:
    """The results of a finished run."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    names = ("validation_bleu", "validation_bleu_signature", "validation_loss", "steps", "tokens", "training_seconds")
    return {name: results[name] for name in names}


def table(record: dict[str, Any]) -> str:
    """Markdown: a line a variant, with the difference to the recipe."""
    runs = record["runs"]
    base = runs.get("the recipe")
    lines = [
        f"{record['minutes']:g} minutes of training for each variant, {record['seeds']} seed"
        f"{'s' if record['seeds'] != 1 else ''}; BLEU is the mean, with its range in parentheses.",
        "",
        "| variant | validation BLEU | difference | updates | target tokens/s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, of_variant in runs.items():
        scores = [run["validation_bleu"] for run in of_variant]
        spread = f" ({min(scores):.1f} – {max(scores):.1f})" if len(scores) > 1 else ""
        difference = "" if base is None or name == "the recipe" else f"{_mean(of_variant) - _mean(base):+.2f}"
        updates = sum(run["steps"] for run in of_variant) / len(of_variant)
        speed = sum(run["tokens"] / run["training_seconds"] for run in of_variant) / len(of_variant)
        lines.append(f"| {name} | {_mean(of_variant):.2f}{spread} | {difference} | {updates:,.0f} | {speed:,.0f} |")
    return "\n".join(lines)


def _mean(runs: list[dict[str, Any]]) -> float:
    return sum(run["validation_bleu"] for run in runs) / len(runs)


def main(arguments: list[str] | None = None) -> None:
    """Trains the variants that have no results yet; writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi30k_ablation", description=__doc__)
    parser.add_argument("--data", help="folder of the parquet files (default: from the Hub)")
    parser.add_argument(
        "--minutes", type=float, default=2.5, help="minutes of training for each run (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each variant (default: %(default)s)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="NAME", help="; ".join(VARIANTS))
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/multi30k-ablation"),
        help="folder of the runs; finished runs are reused",
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "multi30k_ablation.json")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.seeds < 1:
        parser.error(f"--minutes {options.minutes} and --seeds {options.seeds} must be positive")
    changed = {variant: overrides(variant) for variant in options.variants}
    data = ["--data.path", options.data] if options.data else []
    record = {
        "benchmark": "multi30k_ablation",
        "machine": machine(),
        "recipe": RECIPE,
        "minutes": options.minutes,
        "seeds": options.seeds,
        "runs": {},
    }
    for seed in range(1, options.seeds + 1):
        for variant, arguments_of_variant in changed.items():
            folder = options.folder / f"{variant.replace(' ', '-').replace(',', '')}-{options.minutes:g}-{seed}"
            # results.json is written last, so a run that has it is complete.
            if not (folder / "results.json").is_file():
                fixed = ["--recipe", RECIPE, *data, "--evaluation.eval_steps", "null", "--training.seed", str(seed)]
                train(options.minutes, folder, [*fixed, *arguments_of_variant])
            record["runs"].setdefault(variant, []).append(result(folder))
            write_json(options.output, record)
    print(table(record))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
