"""`python -m benchmarks.length`: time and memory of a training step against the length of the text.

One layer of ours, of BERT and of GPT-2, of the same sizes, each measurement in a process of its own: forward and
backward over one row without padding, with dropout, by `sdpa`. Memory is the rise of the process's
peak over that of the built model. A process that needs more memory than `--memory` GB ends, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from .allocator import environment
from .records import RESULTS, machine, peak_memory, summary, write_json

SIDES = {
    "ours, two-sided": "our encoder",
    "BERT": "BertModel of transformers",
    "ours, causal": "our decoder",
    "GPT-2": "GPT2Model of transformers",
}
LENGTHS = (512, 1024, 2048, 4096, 8192, 16_384)
HIDDEN, HEADS, VOCABULARY, DROPOUT = 128, 4, 1000, 0.1


def build(side: str, length: int) -> torch.nn.Module:
    """The model of one side, in training mode."""
    sizes = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": 1, "vocab_size": VOCABULARY}
    sizes |= {"max_position_embeddings": length, "attn_implementation": "sdpa"}
    if side == "GPT-2":
        from transformers import GPT2Config, GPT2Model

        dropout = dict.fromkeys(("attn_pdrop", "resid_pdrop", "embd_pdrop"), DROPOUT)
        model = GPT2Model(GPT2Config(**sizes, **dropout, use_cache=False))
    elif side == "BERT":
        from transformers import BertConfig, BertModel

        dropout = {"hidden_dropout_prob": DROPOUT, "attention_probs_dropout_prob": DROPOUT}
        model = BertModel(BertConfig(**sizes, **dropout, intermediate_size=4 * HIDDEN), add_pooling_layer=False)
    else:
        from hf_vanilla_transformer import (
            VanillaDecoderConfig,
            VanillaDecoderModel,
            VanillaEncoderConfig,
            VanillaEncoderModel,
        )

        two_sided = side == "ours, two-sided"
        sizes |= {"dropout": DROPOUT, "attention_dropout": DROPOUT, "intermediate_size": 4 * HIDDEN}
        if two_sided:
            model = VanillaEncoderModel(VanillaEncoderConfig(**sizes), add_pooling_layer=False)
        else:
            model = VanillaDecoderModel(VanillaDecoderConfig(**sizes, use_cache=False))
    return model.train()


def measure(side: str, length: int, steps: int) -> dict[str, float]:
    """Seconds of a step and the rise of the peak memory, in this process."""
    torch.manual_seed(0)
    model = build(side, length)
    ids = torch.randint(5, VOCABULARY, (1, length))
    model(input_ids=ids[:, :8]).last_hidden_state.sum().backward()  # libraries load their kernels at first use
    before, seconds = peak_memory(), []
    for _ in range(steps):
        begin = time.perf_counter()
        model(input_ids=ids).last_hidden_state.square().mean().backward()
        seconds.append(time.perf_counter() - begin)
    return {"seconds": statistics.median(seconds), "memory": peak_memory() - before}


def worker(side: str, length: int, steps: int, gigabytes: float) -> dict[str, float] | None:
    """`measure` in a separate process; None where it needs more memory.

    Raises:
        RuntimeError: the process failed for another reason; the message has the end of its output.
    """
    command = [sys.executable, "-m", "benchmarks.length", "--worker", side, "--lengths", str(length)]
    command += ["--steps", str(steps), "--memory", str(gigabytes)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, capture_output=True, text=True, env=environment("default"), cwd=root)
    if done.returncode and ("can't allocate memory" in done.stderr or "MemoryError" in done.stderr):
        return None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with status {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures all lengths, alternating between the sides; writes `length.json`."""
    record: dict[str, Any] = {"benchmark": "length", "machine": machine(), "repeats": options.repeats}
    record |= {"memory_limit": options.memory, "lengths": {}}
    for length in options.lengths:
        turns = [{side: worker(side, length, options.steps, options.memory) for side in SIDES}]
        for _ in range(options.repeats - 1):
            sides = [side for side, measured in turns[0].items() if measured is not None]
            turns.append({side: worker(side, length, options.steps, options.memory) for side in sides})
        record["lengths"][str(length)] = {
            side: {
                name: summary([turn[side][name] for turn in turns if turn.get(side)]) for name in ("seconds", "memory")
            }
            if turns[0][side]
            else None
            for side in SIDES
        }
        write_json(options.output, record)
    return record


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| length | " + " | ".join(SIDES) + " |", "| --- " * (len(SIDES) + 1) + "|"]
    for length, sides in record["lengths"].items():
        cells = []
        for side in SIDES:
            values = sides[side]
            if values is None:
                cells.append(f"more than {record['memory_limit']:g} GB")
                continue
            seconds, memory = values["seconds"], values["memory"]
            spread = f"{seconds['low'] * 1e3:,.0f} – {seconds['high'] * 1e3:,.0f}"
            cells.append(f"{seconds['median'] * 1e3:,.0f} ms ({spread}), {memory['median'] / 1e6:,.0f} MB")
        lines.append(f"| {int(length):,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures the lengths and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.length", description=__doc__)
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--repeats", type=int, default=3, help="number of processes of each side")
    parser.add_argument("--steps", type=int, default=2, help="number of forward and backward passes in a process")
    parser.add_argument("--memory", type=float, default=8.0, help="GB of data that a process may hold")
    parser.add_argument("--output", type=Path, default=RESULTS / "length.json")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if min(options.lengths) < 8 or options.repeats < 1 or options.steps < 1 or options.memory <= 0:
        parser.error("--lengths must be at least 8, --repeats and --steps at least 1, and --memory more than 0")
    if options.worker:
        limit = int(options.memory * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        print(json.dumps(measure(options.worker, options.lengths[0], options.steps)))
        return
    print(table(run(options)))


if __name__ == "__main__":
    main()
