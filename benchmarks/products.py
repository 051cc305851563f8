"""`python -m benchmarks.products`: how much of a training step is matrix products, and so what else could be saved.

Counts the operations of the products in a step of each side of `benchmarks.training`, and times a large square product
between the steps: at that rate, the machine's best, the products of a step would take so long and no less. What is left
of the step is all that a loss, a dropout or an attention can save in float32. Products inside torch's fused attention
are not counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from .records import RESULTS, machine, summary, write_json
from .training import Worker, reason_not_to_run
from .training_rows import make
from .training_sides import SETTINGS

FLOAT32 = [name for name, setting in SETTINGS.items() if setting.precision == "float32"]


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The sides of one setting, one after another: operations of a step, and the part of it that they need."""
    setting = SETTINGS[name]
    reason = reason_not_to_run(setting, options)
    if reason is not None:
        return {"title": setting.title, "not_run": reason}
    rows = make(setting.rows, options.batches or setting.batches, options.data)
    sides = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.pt"
        torch.save(rows, file)
        for side in setting.sides:
            with Worker("products", name, side, file, "tuned", options) as worker:
                measured = worker.result()
            sides[side] = {"operations": measured["operations"], "share": summary(measured["shares"])}
    return {"title": setting.title, "sides": sides}


def bounds(sides: dict[str, Any]) -> dict[str, float]:
    """The ratio to the peer, which comes first, that each side would have if all but its products took no time."""
    peer = next(iter(sides.values()))
    step = peer["operations"] / peer["share"]["median"]  # in operations, had the machine done nothing but products
    return {side: step / values["operations"] for side, values in sides.items()}


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| setting | side | products a step | their part of the step (low – high) | ratio if all else took no time |",
        "| --- | --- | --- | --- | --- |",
    ]
    for result in record["settings"].values():
        if "not_run" in result:
            lines.append(f"| {result['title']} | | not run: {result['not_run']} | | |")
            continue
        for number, (side, bound) in enumerate(bounds(result["sides"]).items()):
            values = result["sides"][side]
            share = values["share"]
            lines.append(
                f"| {result['title']} | {side.replace('_', ' ')} | {values['operations'] / 1e9:.1f} GFLOP "
                f"| {share['median']:.0%} ({share['low']:.0%} – {share['high']:.0%}) "
                f"| {f'{bound:.2f}' if number else '–'} |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure the settings in turn, write the record, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--settings", nargs="+", choices=FLOAT32, default=FLOAT32)
    parser.add_argument("--batches", type=int, help="steps of a pass, instead of the setting's")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: HF_VANILLA_DATA)")
    parser.add_argument("--nanogpt", type=Path, help="a clone of karpathy/nanoGPT, or its model.py")
    parser.add_argument("--output", type=Path, default=RESULTS / "products.json")
    # What `benchmarks.training` can vary beside, and is left as it is here.
    parser.set_defaults(dropout=None, attention_dropout=None, threads=None, emulate_bf16=False)
    options = parser.parse_args(arguments)
    record: dict[str, Any] = {"benchmark": "products", "machine": machine(), "settings": {}}
    for name in options.settings:
        record["settings"][name] = run(name, options)
        write_json(options.output, record)
    print(table(record))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
