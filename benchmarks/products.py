"""`python -m benchmarks.products`: the gain by oneDNN in a training step, and an upper bound of any other gain.

Trains each side of `benchmarks.training` alternately with and without oneDNN (`torch.backends.mkldnn`); without it, MKL
computes all float32 matrix products. This changes nothing for a peer. It changes ours on processors where oneDNN is
faster (`models.kernels_linear_vanilla`). A large square product is timed with both libraries between the turns.

It also counts the operations of the matrix products in a step. At the higher of the two rates, they need a minimum of
time. A faster loss, dropout or attention can only save the rest of the step. Products inside torch's fused attention
are not counted.

With `--shapes`, it only times the products of our models with both libraries and prints the table from which
`models.kernels_linear_vanilla` chooses.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hf_vanilla_transformer.models.kernels_linear_vanilla import by_onednn

from .records import RESULTS, machine, summary, write_json
from .training import Worker, reason_not_to_run
from .training_rows import make
from .training_sides import SETTINGS

FLOAT32 = [name for name, setting in SETTINGS.items() if setting.precision == "float32"]


# rows × shared × columns: maps of the layers and to the vocabulary, of 128 to 768 states, and their gradients.
SHAPES = (
    (768, 128, 128),
    (2048, 128, 128),
    (2048, 128, 256),
    (2048, 128, 10_000),
    (2048, 10_000, 128),
    (10_000, 2048, 128),
    (4096, 256, 1024),
    (2048, 512, 512),
    (2048, 512, 2048),
    (1024, 768, 3072),
)


def time_shapes(repeats: int = 7) -> list[dict[str, Any]]:
    """The rates of both libraries for each of `SHAPES`, in turns, in operations per second."""
    measured = []
    for rows, shared, columns in SHAPES:
        states, weight = torch.randn(rows, shared), torch.randn(columns, shared)
        rates: dict[str, list[float]] = {"mkl": [], "onednn": []}
        for turn in range(repeats + 1):
            for library, product in (("mkl", torch.nn.functional.linear), ("onednn", by_onednn)):
                begin = time.perf_counter()
                product(states, weight)
                seconds = time.perf_counter() - begin
                if turn:  # the first chooses kernels and allocates memory
                    rates[library].append(2 * rows * shared * columns / seconds)
        summaries = {library: summary(values) for library, values in rates.items()}
        measured.append({"shape": [rows, shared, columns], **summaries})
    return measured


def table_of_shapes(measured: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| rows × shared × columns | multiplications | MKL, GFLOP/s | oneDNN, GFLOP/s | oneDNN / MKL |",
        "| --- | --- | --- | --- | --- |",
    ]
    for product in measured:
        mkl, onednn = (product[library]["median"] for library in ("mkl", "onednn"))
        shape = " × ".join(f"{size:,}" for size in product["shape"])
        power = math.log2(math.prod(product["shape"]))
        lines.append(f"| {shape} | 2^{power:.1f} | {mkl / 1e9:.0f} | {onednn / 1e9:.0f} | {onednn / mkl:.2f} |")
    return "\n".join(lines)


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measures the sides of one setting, one after another."""
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
    """The time of the products in a step at the machine's best rate."""
    return side["operations"] / max(side["rate_mkl"]["median"], side["rate_onednn"]["median"])


def bounds(sides: dict[str, Any]) -> dict[str, float]:
    """The speed of each side relative to the peer (the first) if everything but its matrix products took no time."""
    peer = next(iter(sides.values()))
    return {side: peer["step_onednn"]["median"] / seconds_of_products(values) for side, values in sides.items()}


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| setting | side | step with MKL | with oneDNN where it is faster | gain (low – high) "
        "| products in a step | their share of the step at the best rate | speed / peer if all else took no time |",
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
        lines += [
            "",
            f"A product of 2,048 × 2,048 × 2,048 with MKL: {mkl:.0f} GFLOP/s, with oneDNN: {onednn:.0f} GFLOP/s.",
        ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures the settings, writes the record, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--settings", nargs="+", choices=FLOAT32, default=FLOAT32)
    parser.add_argument("--batches", type=int, help="number of steps in a pass (default: of the setting)")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: HF_VANILLA_DATA)")
    parser.add_argument("--nanogpt", type=Path, help="a clone of karpathy/nanoGPT, or its model.py")
    parser.add_argument("--output", type=Path, default=RESULTS / "products.json")
    # Options of `benchmarks.training` that this benchmark does not vary.
    parser.set_defaults(dropout=None, attention_dropout=None, threads=None, emulate_bf16=False)
    parser.add_argument("--shapes", action="store_true", help="only time single products, and write nothing")
    options = parser.parse_args(arguments)
    if options.shapes:
        print(table_of_shapes(time_shapes()))
        return
    record: dict[str, Any] = {"benchmark": "products", "machine": machine(), "settings": {}}
    for name in options.settings:
        record["settings"][name] = run(name, options)
        write_json(options.output, record)
    print(table(record))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
