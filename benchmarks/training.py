"""`python -m benchmarks.training`: training speed compared with models of transformers, in labelled tokens per second.

Each side is a separate process with one model. The processes take short turns (A B A B …); one runs while the others
wait, so that a machine that is slow for some minutes slows all sides. They train on the same rows from the same
weights, and their losses are compared before the timing. Both allocator settings are measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from .allocator import ALLOCATORS, environment
from .records import RESULTS, machine, summary, write_json
from .training_rows import make
from .training_sides import SETTINGS, Setting, choose
from .turns import TurnTaker

TOLERANCE = {"float32": 1e-4, "bf16_loss": 2e-2, "bf16": 5e-2}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=15, help="number of turns of each side (default: %(default)s)")
    parser.add_argument("--allocators", nargs="+", choices=ALLOCATORS, default=list(ALLOCATORS))
    parser.add_argument("--quick", action="store_true", help="run three turns")
    parser.add_argument("--batches", type=int, help="number of steps in a turn (default: of the setting)")
    parser.add_argument("--dropout", type=float, help="dropout of both sides (default: of the setting)")
    parser.add_argument(
        "--attention-dropout", type=float, help="attention dropout of both sides (default: of the setting)"
    )
    parser.add_argument("--threads", type=int, help="number of threads of torch (default: chosen by torch)")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: HF_VANILLA_DATA)")
    parser.add_argument("--nanogpt", type=Path, help="a clone of karpathy/nanoGPT, or its model.py")
    parser.add_argument("--emulate-bf16", action="store_true", help="run bf16 settings without bf16 hardware as well")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the files training_SETTING.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.repeats = min(options.repeats, 3)
    if options.repeats < 1:
        parser.error(f"--repeats must be at least 1, not {options.repeats}")
    return options


def has_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware; emulated bf16 is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def reason_not_to_run(setting: Setting, options: argparse.Namespace) -> str | None:
    """The reason why a setting cannot be measured on this machine, or None."""
    if setting.precision != "float32" and not options.emulate_bf16 and not has_bf16():
        return "this processor has no bf16 arithmetic; emulated, it is slower than float32 on both sides"
    if "nanogpt" in setting.sides and options.nanogpt is None:
        return "no --nanogpt PATH was given"
    return None


class Worker(TurnTaker):
    """A process that measures one side.

    Args:
        mode: mode of `benchmarks.training_worker`.
        name: name of the setting.
        side: side of the setting.
        rows: file of the batches.
        allocator: one of `ALLOCATORS`.
        options: of the command.
    """

    def __init__(
        self, mode: str, name: str, side: str, rows: Path, allocator: str, options: argparse.Namespace
    ) -> None:
        arguments = [mode, "--setting", name, "--side", side, "--rows", str(rows)]
        if options.nanogpt is not None:
            arguments += ["--nanogpt", str(options.nanogpt.resolve())]
        for flag, rate in (("--dropout", options.dropout), ("--attention-dropout", options.attention_dropout)):
            arguments += [] if rate is None else [flag, str(rate)]
        variables = environment(allocator) | {"TRANSFORMERS_VERBOSITY": "error"}
        if options.threads is not None:
            variables["OMP_NUM_THREADS"] = str(options.threads)
        super().__init__("benchmarks.training_worker", arguments, variables)


def compare_losses(name: str, setting: Setting, rows: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Computes the first losses of each side without dropout.

    Raises:
        RuntimeError: the losses of a side differ from those of the peer, so the sides are not comparable.
    """
    losses = {}
    for side in setting.sides:
        with Worker("losses", name, side, rows, "default", options) as worker:
            losses[side] = worker.result()["losses"]
    peer, tolerance = losses[setting.sides[0]], TOLERANCE[setting.precision]
    for side, values in losses.items():
        if any(abs(value - expected) > tolerance * abs(expected) for value, expected in zip(values, peer)):
            raise RuntimeError(f"{name}: the losses of {side} {values} differ from those of {setting.sides[0]} {peer}")
    return losses


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measures one setting; writes `training_NAME.json` after each turn and returns the record."""
    setting = choose(name, options.dropout, options.attention_dropout)
    path = options.output / f"training_{name}.json"
    record: dict[str, Any] = {
        "benchmark": "training",
        "setting": name,
        **asdict(setting),
        "machine": machine(),
        "repeats": options.repeats,
    }
    reason = reason_not_to_run(setting, options)
    if reason is not None:
        write_json(path, record | {"not_run": reason})
        return record | {"not_run": reason}
    batches = options.batches or setting.batches
    with tempfile.TemporaryDirectory() as folder:
        rows_file = Path(folder) / "rows.pt"
        rows = make(setting.rows, batches, options.data)
        torch.save(rows, rows_file)
        record |= {"batches": batches, "labels": sum(rows["labels"]), "vocab_size": rows["vocab_size"]}
        record["filled"] = filled(rows["batches"])
        record["losses"] = compare_losses(name, setting, rows_file, options)
        record["allocators"] = {}
        for allocator in options.allocators:
            speeds: dict[str, list[float]] = {side: [] for side in setting.sides}
            peaks: dict[str, list[float]] = {side: [] for side in setting.sides}
            with ExitStack() as stack:
                workers = {}
                for side in setting.sides:
                    workers[side] = stack.enter_context(Worker("time", name, side, rows_file, allocator, options))
                    record["threads"] = workers[side].result()[
                        "threads"
                    ]  # waits until it is ready, so that the processes start one by one
                for _ in tqdm(range(options.repeats), desc=f"{name}, {allocator}", unit="turn"):
                    for side, worker in workers.items():
                        measured = worker.turn()
                        speeds[side].append(measured["tokens_per_second"])
                        peaks[side].append(measured["peak_rss"])
                    record["allocators"][allocator] = tabulate(speeds, peaks)
                    write_json(path, record)
    return record


def filled(batches: list) -> float:
    """The share of tokens in the first column of the batches when each row is padded to the longest of its batch."""
    kept = padded = 0
    for rows in batches:
        lengths = [len(next(iter(row.values()))) for row in rows]
        kept += sum(lengths)
        padded += max(lengths) * len(lengths)
    return kept / padded


def tabulate(speeds: dict[str, list[float]], peaks: dict[str, list[float]]) -> dict[str, Any]:
    """Medians and ranges of the speeds, and of their ratios to the peer's speed in the same turn."""
    peer = next(iter(speeds))
    return {
        side: {
            "tokens_per_second": summary(values),
            "ratio": summary([value / other for value, other in zip(values, speeds[peer])]),
            "peak_rss": summary(peaks[side]),
        }
        for side, values in speeds.items()
    }


def table(records: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| setting | side | allocator | labelled tokens/s (low – high) | ratio to the peer (low – high) | memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        if "not_run" in record:
            lines.append(f"| {record['title']} | | | not run: {record['not_run']} | | |")
            continue
        for allocator, sides in record["allocators"].items():
            for side, values in sides.items():
                speed, ratio = values["tokens_per_second"], values["ratio"]
                first = side == record["sides"][0]
                relation = "1" if first else f"**{ratio['median']:.2f}** ({ratio['low']:.2f} – {ratio['high']:.2f})"
                lines.append(
                    f"| {record['title']} | {side.replace('_', ' ')} | {allocator} | {speed['median']:,.0f} "
                    f"({speed['low']:,.0f} – {speed['high']:,.0f}) | {relation} "
                    f"| {values['peak_rss']['median'] / 1e6:,.0f} MB |"
                )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures the settings and prints the table."""
    options = parse(arguments)
    # Parallel tokenizers would disturb the measurement.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    records = []
    for name in options.settings:
        records.append(run(name, options))
        print(table(records[-1:]) + "\n", flush=True)
    if len(records) > 1:
        print(table(records))


if __name__ == "__main__":
    main()
