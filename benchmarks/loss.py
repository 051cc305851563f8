"""`python -m benchmarks.loss`: memory and time of the chunked language modeling loss.

The chunked loss computes the logits of a batch in chunks; the plain loss computes all logits and then their
cross-entropy. Each measurement is a separate process: forward and backward over `rows` labelled positions. Memory is
the rise of the process's peak, which includes logits, log-probabilities, gradients and workspaces.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from .allocator import ALLOCATORS, environment
from .records import RESULTS, machine, peak_memory, summary, write_json

SIDES = ("plain", "chunked")
# rows, hidden, vocabulary, label smoothing: the batches of benchmarks.training, and vocabularies of published models.
CASES = {
    "translation, vocabulary 10k": (2048, 128, 10_000, 0.1),
    "masked LM, vocabulary 16k": (614, 256, 16_000, 0.0),
    "vocabulary 32k": (4096, 256, 32_000, 0.0),
    "GPT-2's vocabulary": (2048, 768, 50_257, 0.0),
}


def inputs(case: str) -> list[torch.Tensor]:
    """Hidden states, weight and labels of a case, from a fixed seed."""
    rows, hidden, vocabulary, _ = CASES[case]
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(rows, hidden, generator=generator, requires_grad=True)
    weight = torch.randn(vocabulary, hidden, generator=generator).mul_(hidden**-0.5).requires_grad_()
    return [states, weight, torch.randint(vocabulary, (rows,), generator=generator)]


def compute(side: str, states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, smoothing: float):
    """The scalar loss of one side."""
    if side == "plain":
        return torch.nn.functional.cross_entropy(
            torch.nn.functional.linear(states, weight), labels, label_smoothing=smoothing
        )
    from hf_vanilla_transformer.models.kernels_loss_vanilla import linear_cross_entropy

    return linear_cross_entropy(states, weight, None, labels, label_smoothing=smoothing)


def measure(side: str, case: str, repeats: int) -> dict[str, Any]:
    """Seconds of forward and backward, rise of the memory peak, loss, and norms of the gradients."""
    states, weight, labels = inputs(case)
    smoothing = CASES[case][3]
    # Libraries load their kernels at first use; their memory does not belong to the loss.
    small = torch.randn(8, 8, requires_grad=True)
    compute(side, small, torch.randn(8, 8, requires_grad=True), torch.arange(8), smoothing).backward()
    before, seconds = peak_memory(), []
    for _ in range(repeats + 1):
        states.grad = weight.grad = None
        begin = time.perf_counter()
        loss = compute(side, states, weight, labels, smoothing)
        loss.backward()
        seconds.append(time.perf_counter() - begin)
    return {
        "seconds": statistics.median(seconds[1:]),
        "memory": peak_memory() - before,
        "loss": float(loss.detach()),
        "gradient_norms": [float(states.grad.norm()), float(weight.grad.norm())],
    }


def worker(side: str, case: str, repeats: int, allocator: str) -> dict[str, Any]:
    """Runs `measure` in a separate process.

    Raises:
        RuntimeError: the process failed; the message has the end of its output.
    """
    command = [sys.executable, "-m", "benchmarks.loss", "--worker", side, "--cases", case, "--steps", str(repeats)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(allocator), cwd=root)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with status {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures all cases, alternating between the sides; writes `loss.json`.

    Raises:
        RuntimeError: the losses or the norms of the gradients differ between the sides.
    """
    record: dict[str, Any] = {"benchmark": "loss", "machine": machine(), "repeats": options.repeats, "cases": {}}
    for case in options.cases:
        rows, hidden, vocabulary, smoothing = CASES[case]
        entry: dict[str, Any] = {"rows": rows, "hidden": hidden, "vocabulary": vocabulary, "label_smoothing": smoothing}
        for allocator in options.allocators:
            measured: dict[str, list[dict]] = {side: [] for side in SIDES}
            for _ in range(options.repeats):
                for side in SIDES:
                    measured[side].append(worker(side, case, options.steps, allocator))
            for name in ("loss", "gradient_norms"):
                plain, chunked = (torch.tensor(measured[side][0][name]) for side in SIDES)
                if not torch.allclose(plain, chunked, rtol=1e-4):
                    raise RuntimeError(f"{case}: {name} is {plain} plain and {chunked} chunked")
            entry[allocator] = {
                side: {name: summary([one[name] for one in ones]) for name in ("seconds", "memory")}
                for side, ones in measured.items()
            }
        record["cases"][case] = entry
        write_json(options.output, record)
    return record


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| rows × hidden → vocabulary | allocator | plain | chunked | time | memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case, entry in record["cases"].items():
        for allocator in ALLOCATORS:
            if allocator not in entry:
                continue
            plain, chunked = (entry[allocator][side] for side in SIDES)
            cells = [
                f"{s['seconds']['median'] * 1e3:,.0f} ms, {s['memory']['median'] / 1e6:,.0f} MB"
                for s in (plain, chunked)
            ]
            time_ratio = plain["seconds"]["median"] / chunked["seconds"]["median"]
            memory_ratio = plain["memory"]["median"] / max(chunked["memory"]["median"], 1)
            lines.append(
                f"| {case}: {entry['rows']:,} × {entry['hidden']} → {entry['vocabulary']:,} | {allocator} "
                f"| {cells[0]} | {cells[1]} | {time_ratio:.2f} × | {memory_ratio:.1f} × |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loss", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3, help="number of processes of each side")
    parser.add_argument("--steps", type=int, default=5, help="number of forward and backward passes in a process")
    parser.add_argument("--allocators", nargs="+", choices=ALLOCATORS, default=list(ALLOCATORS))
    parser.add_argument("--output", type=Path, default=RESULTS / "loss.json")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.steps < 1:
        parser.error(f"--repeats {options.repeats} and --steps {options.steps} must be at least 1")
    if options.worker:
        print(json.dumps(measure(options.worker, options.cases[0], options.steps)))
        return
    print(table(run(options)))


if __name__ == "__main__":
    main()
