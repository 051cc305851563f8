"""The process of one engine; `benchmarks.decoding` starts it.

It loads the model, runs all batches once, and reports what it generated. Then it measures once for each line that it
reads, so that several engines can take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .decoding_engines import ENGINES, Engine, load
from .records import peak_memory

FIRST_TOKENS = 5  # measurements of the time to the first token


def take_turns(engine: Engine, batches: list, options: argparse.Namespace, turns: Iterable[str]) -> Iterator[Any]:
    """Runs all batches once, reports the outputs, and then once for each turn.

    Args:
        engine: a loaded model.
        batches: rows of token ids.
        options: `beams`, `new_tokens` and `limit` of the search; `stack`.
        turns: an iterable with one item for each turn; waiting for an item is not timed.
    """
    if options.stack == "encoder":
        states = [engine.encode(rows) for rows in batches]
        # The state of the first token of each row, to be compared with other engines.
        first = [[float(number) for number in row[0]] for row in states[0]]
        yield {"states": first}
        tokens = sum(len(row) for rows in batches for row in rows)
        for _ in turns:
            begin = time.perf_counter()
            for rows in batches:
                engine.encode(rows)
            seconds = time.perf_counter() - begin
            yield {"tokens_per_second": tokens / seconds, "peak_memory": peak_memory()}
        return
    search = {"beams": options.beams, "limit": options.limit}
    outputs = [engine.generate(rows, new_tokens=options.new_tokens, **search) for rows in batches]
    yield {"outputs": [row for rows in outputs for row in rows], "first_token": first_token(engine, batches, search)}
    for _ in turns:
        begin = time.perf_counter()
        outputs = [engine.generate(rows, new_tokens=options.new_tokens, **search) for rows in batches]
        seconds = time.perf_counter() - begin
        # The end token is generated too.
        tokens = sum(len(row) + (options.new_tokens is None) for rows in outputs for row in rows)
        yield {"tokens_per_second": tokens / seconds, "peak_memory": peak_memory()}


def first_token(engine: Engine, batches: list, search: dict[str, Any]) -> float:
    """Seconds from the call to the first token of a batch of middle length: the median of some calls."""
    rows = batches[len(batches) // 2]
    seconds = []
    for _ in range(FIRST_TOKENS):
        begin = time.perf_counter()
        engine.generate(rows, new_tokens=1, **search)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main() -> None:
    """Measures one engine on one model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding_worker", description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--folder", type=Path, required=True, help="the model in the format of the engine")
    parser.add_argument("--stack", choices=("seq2seq", "decoder", "encoder"), required=True)
    parser.add_argument("--work", type=Path, required=True, help="file of the batches")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--new-tokens", type=int)
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    batches = json.loads(options.work.read_text(encoding="utf-8"))
    begin = time.perf_counter()
    engine = load(options.engine, options.folder, options.stack, options.threads)
    loading = time.perf_counter() - begin
    for number, result in enumerate(take_turns(engine, batches, options, sys.stdin)):
        print(json.dumps(result if number else {"load": loading, **result}), flush=True)


if __name__ == "__main__":
    main()
