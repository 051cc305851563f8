"""The process that measures one model; `benchmarks.training` and `benchmarks.products` start it.

It reads the rows of a setting. In the modes `losses` and `products` it prints one line of JSON. In the mode `time` it
reports that it is ready, and then measures once for each line that it receives, so that several sides can take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from hf_vanilla_transformer.models.kernels_linear_vanilla import by_onednn

from .records import peak_memory
from .training_sides import SETTINGS, Side, build, choose


def step(side: Side, optimizer: torch.optim.Optimizer, rows: list) -> torch.Tensor:
    """One update: collates, computes the loss and its gradients, and updates the weights."""
    loss = side.loss(side.model, side.collate(rows))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def seconds_of_a_pass(side: Side, optimizer: torch.optim.Optimizer, batches: list) -> float:
    """Seconds of one step on each batch."""
    begin = time.perf_counter()
    for batch in batches:
        step(side, optimizer, batch)
    return time.perf_counter() - begin


def take_turns(side: Side, rows: dict[str, Any], turns: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Measures the labelled tokens per second over all batches, once each turn. The first result precedes all turns.

    Args:
        side: the model.
        rows: the batches of each turn.
        turns: an iterable with one item for each turn; waiting for an item is not timed.
    """
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    for batch in rows["batches"]:  # every shape once, to allocate its memory and choose its kernels
        step(side, optimizer, batch)
    yield {"threads": torch.get_num_threads()}
    for _ in turns:
        step(side, optimizer, rows["batches"][0])  # wakes the threads and loads this side's weights into the caches
        seconds = seconds_of_a_pass(side, optimizer, rows["batches"])
        yield {"tokens_per_second": sum(rows["labels"]) / seconds, "seconds": seconds, "peak_rss": peak_memory()}


def losses(side: Side, rows: dict[str, Any], steps: int = 3) -> dict[str, Any]:
    """The losses of the first updates, to check that two sides compute the same function."""
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    return {"losses": [float(step(side, optimizer, batch)) for batch in rows["batches"][:steps]]}


class OperationCounter(TorchDispatchMode):
    """Counts the operations of matrix products by the formulas of torch's `FlopCounterMode`.

    That class also follows modules through global hooks, and with hooks our models compute the loss in another way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Runs an operator and adds its operations."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        operator = func._overloadpacket
        if operator == torch.ops.aten.addmm_:  # torch has no formula for the in-place product
            operator = torch.ops.aten.addmm
        if operator in flop_registry:
            self.operations += flop_registry[operator](*args, **kwargs, out_val=output)
        return output


def products(side: Side, rows: dict[str, Any], passes: int = 5, size: int = 2048) -> dict[str, Any]:
    """Operations of the matrix products in a step, the time of a step with and without oneDNN, and the rates of both.

    Args:
        side: the model.
        rows: the batches of a pass.
        passes: number of measurements.
        size: size of the square product whose rate is measured between the passes.
    """
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    # Torch has no formula for the products of oneDNN, so MKL computes the counted step.
    with torch.backends.mkldnn.flags(enabled=False), OperationCounter() as counter:
        for batch in rows["batches"]:
            step(side, optimizer, batch)
    operations = counter.operations
    seconds_of_a_pass(side, optimizer, rows["batches"])  # every shape once with oneDNN as well
    square = torch.randn(size, size)
    multiply = {"mkl": lambda: square @ square, "onednn": lambda: by_onednn(square, square)}
    measured: dict[str, Any] = {"operations": operations / len(rows["batches"])}
    measured |= {f"{kind}_{library}": [] for kind in ("step", "rate") for library in multiply}
    for _ in range(passes):
        for library, product in multiply.items():
            with torch.backends.mkldnn.flags(enabled=library == "onednn"):
                seconds = seconds_of_a_pass(side, optimizer, rows["batches"])
            measured[f"step_{library}"].append(seconds / len(rows["batches"]))
            timings = []
            for _ in range(10):
                begin = time.perf_counter()
                product()
                timings.append(time.perf_counter() - begin)
            measured[f"rate_{library}"].append(2 * size**3 / statistics.median(timings))
    return measured


def main() -> None:
    """Measures one side of one setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_worker", description=__doc__)
    parser.add_argument("mode", choices=("time", "losses", "products"))
    parser.add_argument("--setting", choices=SETTINGS, required=True)
    parser.add_argument("--side", required=True)
    parser.add_argument("--rows", type=Path, required=True, help="file of the batches, written by benchmarks.training")
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--attention-dropout", type=float)
    options = parser.parse_args()
    rows = torch.load(options.rows, weights_only=True)
    setting = choose(options.setting, options.dropout, options.attention_dropout)
    with redirect_stdout(sys.stderr):  # nanoGPT prints its size; standard output is for results only
        side = build(setting, options.side, rows["vocab_size"], options.mode != "losses", options.nanogpt)
    once = {"losses": losses, "products": products}
    for result in take_turns(side, rows, sys.stdin) if options.mode == "time" else [once[options.mode](side, rows)]:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
