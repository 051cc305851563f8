"""`python -m benchmarks.products`: what oneDNN brings to a training step, and what else could be saved at all.

Trains each side of `benchmarks.training` by turns as it is and with oneDNN switched off (`torch.backends.mkldnn`), so
that all its float32 products are MKL's: on a peer that changes nothing, on ours where the processor multiplies faster
by oneDNN (`models.kernels_linear_vanilla`). Between the turns a large square product is timed by both libraries.

Also counts the operations of the products in a step: at the higher of these rates, the best of the machine, they take
so long and no less. What is left of the step is all that a loss, a dropout or an attention can save. Products inside
torch's fused attention are not counted.
"""

from __future__ import annotations

import argparse
import statistics
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
    """The sides of one setting, one after another."""
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
            gains = [mkl / onednn for mkl, onednn in zip(measured["step_mkl"], measured["step_onednn"])]
            operations = measured.pop("operations")
            sides[side] = {"operations": operations, "gain": summary(gains)}
            sides[side] |= {name: summary(values) for name, values in measured.items()}
    return {"title": setting.title, "sides": sides}


def seconds_of_products(side: dict[str, Any]) -> float:
    """What the products of a step would take at the best rate of the machine."""
    return side["operations"] / max(side["rate_mkl"]["median"], side["rate_onednn"]["median"])


def bounds(sides: dict[str, Any]) -> dict[str, float]:
    """The ratio to the peer, which comes first, that each side would have if all but its products took no time."""
    peer = next(iter(sides.values()))
    return {side: peer["step_onednn"]["median"] / seconds_of_products(values) for side, values in sides.items()}


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| setting | side | step by MKL | by oneDNN where it is faster | gain (low – high) "
        "| products a step | their part of it at the best rate | ratio to the peer if all else took no time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rates: dict[str, list[float]] = {"rate_mkl": [], "rate_onednn": []}
    for result in record["settings"].values():
        if "not_run" in result:
            lines.append(f"| {result['title']} | | not run: {result['not_run']} | | | | | |")
            continue
        for number, (side, bound) in enumerate(bounds(result["sides"]).items()):
            values = result["sides"][side]
            gain = values["gain"]
            for rate, medians in rates.items():
                medians.append(values[rate]["median"])
            lines.append(
                f"| {result['title']} | {side.replace('_', ' ')} | {values['step_mkl']['median'] * 1e3:.0f} ms "
                f"| {values['step_onednn']['median'] * 1e3:.0f} ms "
                f"| {gain['median']:.2f} ({gain['low']:.2f} – {gain['high']:.2f}) "
                f"| {values['operations'] / 1e9:.1f} GFLOP "
                f"| {seconds_of_products(values) / values['step_onednn']['median']:.0%} "
                f"| {f'{bound:.2f}' if number else '–'} |"
            )
    if rates["rate_mkl"]:
        mkl, onednn = (statistics.median(medians) / 1e9 for medians in rates.values())
        lines += ["", f"A product of 2,048 × 2,048 × 2,048 by MKL: {mkl:.0f} GFLOP/s, by oneDNN: {onednn:.0f} GFLOP/s."]
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
