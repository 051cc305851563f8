"""The process in which one model is measured, and nothing else: started by `benchmarks.training` and `.products`.

Reads the rows of a setting. In `losses` and `products` mode it prints one line of JSON. In `time` mode it says that it
is ready, and then measures once for every line it is sent, so that several sides can take short turns on one machine.
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
from torch.utils.flop_counter import FlopCounterMode

from .records import peak_memory
from .training_sides import SETTINGS, Side, build, choose


def step(side: Side, optimizer: torch.optim.Optimizer, rows: list) -> torch.Tensor:
    """Collate, forward, backward, update."""
    loss = side.loss(side.model, side.collate(rows))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def seconds_of_a_pass(side: Side, optimizer: torch.optim.Optimizer, batches: list) -> float:
    """How long a step on every batch takes."""
    begin = time.perf_counter()
    for batch in batches:
        step(side, optimizer, batch)
    return time.perf_counter() - begin


def take_turns(side: Side, rows: dict[str, Any], turns: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Labelled tokens a second over all batches, once a turn; the first result, before any turn, has none.

    Args:
        side: the model.
        rows: batches of all turns.
        turns: whatever ends when there are no more; the clock stands still while the next one is awaited.
    """
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    for batch in rows["batches"]:  # every shape once: its memory, its kernels
        step(side, optimizer, batch)
    yield {"threads": torch.get_num_threads()}
    for _ in turns:
        step(side, optimizer, rows["batches"][0])  # the threads are awake, and the caches hold this side's weights
        seconds = seconds_of_a_pass(side, optimizer, rows["batches"])
        yield {"tokens_per_second": sum(rows["labels"]) / seconds, "seconds": seconds, "peak_rss": peak_memory()}


def losses(side: Side, rows: dict[str, Any], steps: int = 3) -> dict[str, Any]:
    """The losses of the first updates, to see that two sides compute the same."""
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    return {"losses": [float(step(side, optimizer, batch)) for batch in rows["batches"][:steps]]}


def products(side: Side, rows: dict[str, Any], passes: int = 5, size: int = 2048) -> dict[str, Any]:
    """Operations of the matrix products in a step, and what part of it they are at the rate of a large square product.

    Args:
        side: the model.
        rows: batches of a pass.
        passes: how often that part is measured.
        size: of the square product.
    """
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)

    def added_product(_: Any, left: Any, right: Any, **rest: Any) -> int:
        return 2 * left[0] * left[1] * right[1]

    # Torch's counter does not know the product that adds to what is there.
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: added_product}) as counter:
        for batch in rows["batches"]:
            step(side, optimizer, batch)
    operations = counter.get_total_flops()
    square, shares = torch.randn(size, size), []
    for _ in range(passes):
        seconds = seconds_of_a_pass(side, optimizer, rows["batches"])
        timings = []
        for _ in range(10):
            begin = time.perf_counter()
            square @ square
            timings.append(time.perf_counter() - begin)
        rate = 2 * size**3 / statistics.median(timings)
        shares.append(operations / rate / seconds)
    return {"operations": operations / len(rows["batches"]), "shares": shares}


def main() -> None:
    """Measure one side of one setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_worker", description=__doc__)
    parser.add_argument("mode", choices=("time", "losses", "products"))
    parser.add_argument("--setting", choices=SETTINGS, required=True)
    parser.add_argument("--side", required=True)
    parser.add_argument("--rows", type=Path, required=True, help="what benchmarks.training wrote")
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--attention-dropout", type=float)
    options = parser.parse_args()
    rows = torch.load(options.rows, weights_only=True)
    setting = choose(options.setting, options.dropout, options.attention_dropout)
    with redirect_stdout(sys.stderr):  # nanoGPT prints how large it is; only results go to the one who asked for them
        side = build(setting, options.side, rows["vocab_size"], options.mode != "losses", options.nanogpt)
    once = {"losses": losses, "products": products}
    for result in take_turns(side, rows, sys.stdin) if options.mode == "time" else [once[options.mode](side, rows)]:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
