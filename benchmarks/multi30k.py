"""`python -m benchmarks.multi30k`: BLEU over training time on raw Multi30k, our recipe and transformers' Marian.

Reads the runs of our recipe (`metrics.jsonl`, `results.json`, `recipe.yaml` in each folder) and the record of
`benchmarks.multi30k_marian`, and writes a record, a table and a plot. With `--train 2.5 5 10` it first trains the
recipe for each of these numbers of minutes; arguments after `--` are passed to `hf-vanilla train`. On both sides, time
is training time without evaluation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from .allocator import environment
from .records import RESULTS, machine, read_json, write_json

# (minutes, BLEU) of a plain training loop with Marian on two CPU cores, measured before our recipe existed.
REFERENCE = ((5.0, 29.5), (10.0, 34.8), (20.0, 38.0), (25.0, 39.4))


def read_run(folder: Path) -> dict[str, Any]:
    """Reads the curve of one run of our recipe.

    Args:
        folder: output folder of the run.

    Returns:
        `points` (minutes, step, tokens and validation BLEU of each evaluation), `final` (scores of the final model),
        `recipe`, and `beams` of the evaluations during training.

    Raises:
        FileNotFoundError: the folder contains no run.
        ValueError: its BLEU is not computed on raw cased text with 13a, so it is not comparable.
    """
    for name in ("recipe.yaml", "metrics.jsonl"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: --runs takes output folders of hf-vanilla train")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    if recipe["tokenizer"]["lowercase"] or recipe["evaluation"]["bleu_tokenize"] != "13a":
        raise ValueError(
            f"{folder}: tokenizer.lowercase={recipe['tokenizer']['lowercase']} and evaluation.bleu_tokenize="
            f"{recipe['evaluation']['bleu_tokenize']!r}; only lowercase=False and '13a' on raw text are comparable"
        )
    points = []
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        logged = json.loads(line)
        if "eval_bleu" in logged:
            points.append(
                {
                    "minutes": logged["training_seconds"] / 60,
                    "steps": logged["step"],
                    "target_tokens": logged["tokens"],
                    "validation_bleu": logged["eval_bleu"],
                    "signature": logged.get("eval_bleu_signature"),
                }
            )
    final = None
    if (folder / "results.json").is_file():
        final = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        final["minutes"] = final["training_seconds"] / 60
    return {
        "points": points,
        "final": final,
        "beams": recipe["evaluation"]["num_beams"],
        "final_beams": recipe["generation"]["num_beams"],
        "recipe": recipe,
    }


def curve(run: dict[str, Any]) -> list[tuple[float, float]]:
    """(minutes, validation BLEU) of a run of ours in temporal order, the final model last."""
    points = [(point["minutes"], point["validation_bleu"]) for point in run["points"]]
    if run["final"] is not None:
        points.append((run["final"]["minutes"], run["final"]["validation_bleu"]))
    return sorted(points)


def marian_curve(marian: dict[str, Any]) -> list[tuple[float, float]]:
    """(minutes, validation BLEU) of Marian's points, the averaged weights last."""
    return [(point["minutes"], point["validation"]["bleu"]) for point in marian["points"]]


def reached(points: list[tuple[float, float]], bleu: float) -> float | None:
    """Minutes of the first point with at least this BLEU; there is no interpolation between points."""
    return min((minutes for minutes, score in points if score >= bleu), default=None)


def gains(goal: dict[str, Any], marian: dict[str, Any], runs: dict[str, dict[str, Any]]) -> tuple[float, float] | None:
    """Our speed-up over Marian's loop on this machine until a BLEU is reached, as two factors: speed and recipe.

    The first is the ratio of the target tokens per second, the second the ratio of the target tokens that were needed.
    Their product is the ratio of the times. None if a side has not reached the BLEU, or our run is not finished.
    """
    finished = (run for run in runs.values() if run["final"] is not None)
    run = next((run for run in finished if goal["ours"] in (minutes for minutes, _ in curve(run))), None)
    if run is None or goal["marian"] is None:
        return None
    theirs, ours = marian["points"][-1], run["final"]
    speed = ours["tokens"] / ours["minutes"] / (theirs["target_tokens"] / theirs["minutes"])
    return speed, goal["marian"] / goal["ours"] / speed


def combine(marian: dict[str, Any], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The record: both sides, and the minutes after which each reached each BLEU."""
    peer = marian_curve(marian)
    ours = {name: curve(run) for name, run in runs.items()}
    together = [point for points in ours.values() for point in points]
    goals = [("reference", minutes, bleu) for minutes, bleu in REFERENCE]
    goals += [("Marian, measured here", minutes, bleu) for minutes, bleu in peer]
    return {
        "benchmark": "multi30k",
        "machine": machine(),
        "marian": marian,
        "runs": runs,
        "reached": [
            {
                "source": source,
                "minutes": minutes,
                "bleu": bleu,
                "marian": reached(peer, bleu),
                "ours": reached(together, bleu),
            }
            for source, minutes, bleu in goals
        ],
    }


def table(record: dict[str, Any]) -> str:
    """Markdown: the minutes to reach each BLEU, then the scores of all points."""

    def minutes(value: float | None) -> str:
        return "not reached" if value is None else f"{value:.1f}"

    lines = [
        "| validation BLEU | reached by | Marian, minutes | ours, minutes | share of the time "
        "| speed-up over Marian here by speed | by the recipe |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for goal in record["reached"]:
        share = "" if goal["ours"] is None else f"**{goal['ours'] / goal['minutes']:.2f}**"
        gained = gains(goal, record["marian"], record["runs"])
        by_speed, by_recipe = ("", "") if gained is None else (f"{gain:.2f}" for gain in gained)
        lines.append(
            f"| {goal['bleu']:.1f} | {goal['source']}, {goal['minutes']:.3g} min | {minutes(goal['marian'])} "
            f"| {minutes(goal['ours'])} | {share} | {by_speed} | {by_recipe} |"
        )
    lines += [
        "",
        "| side | minutes | steps | target tokens | per second | validation BLEU | test 2016 BLEU |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for point in record["marian"]["points"]:
        test = point["test_2016_flickr"]["bleu"] if "test_2016_flickr" in point else None
        lines.append(
            _row(
                f"Marian, {point['name']}", point["minutes"], point["steps"], point["target_tokens"],
                point["validation"]["bleu"], test,
            )
        )  # fmt: skip
    for name, run in record["runs"].items():
        final = run["final"]
        if final is not None:
            lines.append(
                _row(
                    f"ours, {name}", final["minutes"], final["steps"], final["tokens"], final["validation_bleu"],
                    final.get("test_bleu"),
                )
            )  # fmt: skip
    return "\n".join(lines)


def _row(side: str, minutes: float, steps: int, tokens: int, validation: float, test: float | None) -> str:
    shown = "" if test is None else f"{test:.2f}"
    return (
        f"| {side} | {minutes:.1f} | {steps:,} | {tokens:,} | {tokens / minutes / 60:,.0f} | {validation:.2f} "
        f"| {shown} |"
    )


def plot(record: dict[str, Any], path: Path) -> Path:
    """Plots BLEU over minutes of training."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(*zip(*marian_curve(record["marian"])), "o-", color="tab:gray", label="transformers' Marian, plain loop")
    axes.plot(*zip(*REFERENCE), "s", color="tab:gray", fillstyle="none", label="the same, reference figures")
    for name, run in record["runs"].items():
        points = curve(run)
        if points:
            axes.plot(*zip(*points), ".-", label=f"ours, {name}")
    axes.set_xlabel("minutes of training on this machine")
    axes.set_ylabel("validation BLEU (sacreBLEU 13a, cased)")
    axes.set_title("Multi30k, English to German, 4+4 layers of width 128")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.png")
    figure.savefig(aside, dpi=150)
    pyplot.close(figure)
    aside.replace(path)
    return path


def train(minutes: float, folder: Path, arguments: list[str]) -> None:
    """Trains our recipe for this number of minutes, with the tuned allocator.

    Raises:
        RuntimeError: the run failed.
    """
    command = [sys.executable, "-m", "hf_vanilla_transformer.commands.main", "train", "--output", str(folder)]
    command += ["--training.max_minutes", f"{minutes:g}", *arguments]
    print(" ".join(command), flush=True)
    status = subprocess.run(command, env=environment("tuned")).returncode
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}; its messages are above")


def main(arguments: list[str] | None = None) -> None:
    """Trains with `--train`; writes the record and the plot, and prints the table."""
    arguments = sys.argv[1:] if arguments is None else arguments
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi30k", description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="output folders of hf-vanilla train")
    parser.add_argument(
        "--train", type=float, nargs="*", default=[], help="first train for each of these numbers of minutes"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="folder for the runs of --train")
    parser.add_argument("--marian", type=Path, default=RESULTS / "multi30k_marian.json")
    parser.add_argument("--output", type=Path, default=RESULTS / "multi30k.json")
    parser.add_argument("--plot", type=Path, default=RESULTS / "multi30k.png")
    options = parser.parse_args(arguments[:cut])
    marian = read_json(options.marian)
    folders = list(options.runs)
    for minutes in options.train:
        folders.append(options.folder / f"multi30k-{minutes:g}-minutes")
        train(minutes, folders[-1], arguments[cut + 1 :])
    if not folders:
        parser.error("give --runs FOLDER ... or --train MINUTES ...")
    record = combine(marian, {folder.name: read_run(folder) for folder in folders})
    write_json(options.output, record)
    plot(record, options.plot)
    print(table(record))
    print(f"written: {options.output}, {options.plot}")


if __name__ == "__main__":
    main()
