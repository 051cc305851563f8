"""`python -m benchmarks.multi30k`: BLEU against wall-clock on raw Multi30k, our recipe beside transformers' Marian.

Reads the runs of our recipe (`metrics.jsonl`, `results.json`, `recipe.yaml` in each folder) and what
`benchmarks.multi30k_marian` wrote, and makes a record, a table and a plot. With `--train 2.5 5 10` it first trains the
recipe once for each of these budgets; what follows `--` goes to `hf-vanilla train`. Time is training time, without
evaluation, on both sides.
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

# What a plain loop with Marian gave on two CPU cores, BLEU after minutes, before our recipe existed.
REFERENCE = ((5.0, 29.5), (10.0, 34.8), (20.0, 38.0), (25.0, 39.4))


def read_run(folder: Path) -> dict[str, Any]:
    """The curve of one run of our recipe.

    Args:
        folder: the run's output folder.

    Returns:
        `points` (minutes, step, tokens and validation BLEU of each evaluation), `final` (the finished model's scores),
        `recipe`, and `beams` of the evaluations on the way.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if its scores are not of raw cased text by 13a, so not to be set beside the others.
    """
    for name in ("recipe.yaml", "metrics.jsonl"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: --runs takes output folders of hf-vanilla train")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    if recipe["tokenizer"]["lowercase"] or recipe["evaluation"]["bleu_tokenize"] != "13a":
        raise ValueError(
            f"{folder}: tokenizer.lowercase={recipe['tokenizer']['lowercase']} and evaluation.bleu_tokenize="
            f"{recipe['evaluation']['bleu_tokenize']!r}; comparable are only lowercase=False and '13a' on raw text"
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
    """(minutes, validation BLEU) of a run of ours in the order of time, the finished model last."""
    points = [(point["minutes"], point["validation_bleu"]) for point in run["points"]]
    if run["final"] is not None:
        points.append((run["final"]["minutes"], run["final"]["validation_bleu"]))
    return sorted(points)


def marian_curve(marian: dict[str, Any]) -> list[tuple[float, float]]:
    """(minutes, validation BLEU) of Marian's points, the averaged one last."""
    return [(point["minutes"], point["validation"]["bleu"]) for point in marian["points"]]


def reached(points: list[tuple[float, float]], bleu: float) -> float | None:
    """Minutes of the first scored point with at least this BLEU; nothing is read between points."""
    return min((minutes for minutes, score in points if score >= bleu), default=None)


def gains(goal: dict[str, Any], marian: dict[str, Any], runs: dict[str, dict[str, Any]]) -> tuple[float, float] | None:
    """How many times sooner than Marian's loop on this machine a BLEU was reached, by speed and by the recipe.

    The first is the ratio of target tokens a second, the second that of the tokens that it took; their product is that
    of the times. None where one of the two has not reached it, or the run of ours is not finished.
    """
    finished = (run for run in runs.values() if run["final"] is not None)
    run = next((run for run in finished if goal["ours"] in (minutes for minutes, _ in curve(run))), None)
    if run is None or goal["marian"] is None:
        return None
    theirs, ours = marian["points"][-1], run["final"]
    speed = ours["tokens"] / ours["minutes"] / (theirs["target_tokens"] / theirs["minutes"])
    return speed, goal["marian"] / goal["ours"] / speed


def combine(marian: dict[str, Any], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The record: both sides, and when each reached which BLEU."""
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
    """Markdown: time to reach, then the scores of all points."""

    def minutes(value: float | None) -> str:
        return "not reached" if value is None else f"{value:.1f}"

    lines = [
        "| validation BLEU | from | Marian, minutes | ours, minutes | share of the time "
        "| times sooner than Marian here by speed | by the recipe |",
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
        "| side | minutes | steps | target tokens | a second | validation BLEU | test 2016 BLEU |",
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
    """BLEU against minutes of training as PNG."""
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


def train(minutes: float, folder: Path, more: list[str]) -> None:
    """Train our recipe for so many minutes, with the tuned allocator.

    Raises:
        RuntimeError: if the run failed.
    """
    command = [sys.executable, "-m", "hf_vanilla_transformer.commands.main", "train", "--output", str(folder)]
    command += ["--training.max_minutes", f"{minutes:g}", *more]
    print(" ".join(command), flush=True)
    status = subprocess.run(command, env=environment("tuned")).returncode
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}; its messages are above")


def main(arguments: list[str] | None = None) -> None:
    """Train if asked to, then record, table and plot."""
    arguments = sys.argv[1:] if arguments is None else arguments
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi30k", description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="output folders of hf-vanilla train")
    parser.add_argument("--train", type=float, nargs="*", default=[], help="first train for so many minutes each")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where --train writes its runs")
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
