"""The process in which one model is measured, and nothing else: started by `benchmarks.training`.

Reads the rows of a setting. In `losses` mode it prints one line of JSON. In `time` mode it says that it is ready, and
then measures once for every line it is sent, so that several sides can take short turns on one machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from .records import peak_memory
from .training_sides import SETTINGS, Side, build, choose


def step(side: Side, optimizer: torch.optim.Optimizer, rows: list) -> torch.Tensor:
    """Collate, forward, backward, update."""
    loss = side.loss(side.model, side.collate(rows))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


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
        begin = time.perf_counter()
        for batch in rows["batches"]:
            step(side, optimizer, batch)
        seconds = time.perf_counter() - begin
        yield {"tokens_per_second": sum(rows["labels"]) / seconds, "seconds": seconds, "peak_rss": peak_memory()}


def losses(side: Side, rows: dict[str, Any], steps: int = 3) -> dict[str, Any]:
    """The losses of the first updates, to see that two sides compute the same."""
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    return {"losses": [float(step(side, optimizer, batch)) for batch in rows["batches"][:steps]]}


def main() -> None:
    """Measure one side of one setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_worker", description=__doc__)
    parser.add_argument("mode", choices=("time", "losses"))
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
        side = build(setting, options.side, rows["vocab_size"], options.mode == "time", options.nanogpt)
    for result in take_turns(side, rows, sys.stdin) if options.mode == "time" else [losses(side, rows)]:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
