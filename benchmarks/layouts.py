"""`python -m benchmarks layouts`: how far a training on several processes is from the same training on one.

Trains a small model of each stack for a few updates on one process, which accumulates batches, and in every layout of
`distributed` on two or four processes connected by gloo. Prints the largest differences of the losses, of the first
gradient and of the final weights, and of what is to be compared with them: the largest loss, gradient and weight.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

from .records import machine, write_json

STACKS = {"encoder-decoder": "translation", "encoder": "masked_lm", "decoder": "causal_lm"}
UPDATES = 8


@dataclass(frozen=True)
class Layout:
    """The section `distributed`, the number of processes, and of those that train on different batches."""

    section: str
    processes: int
    batches: int


LAYOUTS = {
    "DDP": Layout("{}", 2, 2),
    "FSDP2": Layout("{fsdp_size: 2}", 2, 2),
    "TP2": Layout("{tp_size: 2}", 2, 1),
    "TP2 × FSDP2": Layout("{tp_size: 2, fsdp_size: 2}", 4, 2),
    "HSDP 2 × 2": Layout("{dp_replicate_size: 2, fsdp_size: 2}", 4, 4),
}


def write_data(folder: Path) -> None:
    """Sentences of random words, and their translations word for word backwards."""
    numbers = random.Random(0)
    words = ["".join(numbers.choices("abcdefgh", k=numbers.randint(2, 5))) for _ in range(40)]
    (folder / "pairs").mkdir(parents=True)
    (folder / "texts").mkdir()
    for split, rows in (("train", 200), ("validation", 9)):
        sentences = [numbers.choices(words, k=numbers.randint(2, 9)) for _ in range(rows)]
        pairs = (" ".join(one) + "\t" + " ".join(word[::-1] for word in one) for one in sentences)
        (folder / "pairs" / f"{split}.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
        texts = (" ".join(one) for one in sentences)
        (folder / "texts" / f"{split}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")


def recipe_of(stack: str, data: Path, output: Path, *overrides: str) -> Any:
    """A recipe without dropout, which each process would draw for itself; with Adam, clipping and an average.

    With an ε of 1e-9, Adam makes whole steps of gradients that are nothing but rounding.
    """
    task = STACKS[stack]
    depth = "encoder_layers: 2, decoder_layers: 2" if task == "translation" else "num_hidden_layers: 2"
    preset = {"translation": "tiny", "masked_lm": "bert_base", "causal_lm": "gpt2"}[task]
    kind = {"translation": "bpe", "masked_lm": "wordpiece", "causal_lm": "byte_bpe"}[task]
    return load_recipe(
        None,
        [
            f"task={task}",
            f"model.preset={preset}",
            f"model.config={{hidden_size: 32, intermediate_size: 64, num_attention_heads: 4, {depth}, "
            "max_position_embeddings: 64, dropout: 0.0, attention_dropout: 0.0}",
            f"tokenizer={{kind: {kind}, vocab_size: 280}}",
            f"data={{path: {data / ('pairs' if task == 'translation' else 'texts')}, test: [], max_length: 64}}",
            f"training={{max_steps: {UPDATES}, tokens_per_batch: 128, warmup_steps: 4, logging_steps: 1, "
            "max_grad_norm: 1.0, lr_scheduler_type: inverse_sqrt, learning_rate: 0.005, average: ema, "
            "average_every: 2, adam_epsilon: 1.0e-6}",
            "evaluation={eval_steps: 4, predict_with_generate: false}",
            f"checkpoint={{save_steps: 1, save_total_limit: {UPDATES}}}",
            f"output={{plot: false, output_dir: {output}}}",
            *overrides,
        ],
    )


def train(recipe: Any, processes: int = 1) -> None:
    """Trains on forked processes that form a group.

    Raises:
        RuntimeError: one of them failed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if processes > 1:
                    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
                    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
                    os.environ.update({name: str(value) for name, value in place.items()})
                silent = os.open(os.devnull, os.O_WRONLY)
                said = os.dup(2)
                os.dup2(silent, 2)
                try:
                    run_training(recipe)
                    code = 0
                except BaseException:
                    os.dup2(said, 2)
                    traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise RuntimeError(f"A process of {recipe.output.output_dir} failed; see its messages.")


def measured(folder: Path) -> dict[str, Any]:
    """Losses, first gradient and final weights of a run, in float64."""
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    state = torch.load(folder / "checkpoints" / "checkpoint-1" / "optimizer.pt", weights_only=True, map_location="cpu")
    # Adam's first moment is (1 - beta1) times the gradient after the first update.
    moments = {name: entry["exp_avg"].double() / 0.1 for name, entry in state["state"].items()}
    weights = load_file(folder / "model.safetensors")
    # The bias of a key adds the same to all scores of a query: its gradient is rounding, which Adam scales up.
    weights = {name: tensor.double() for name, tensor in weights.items() if not name.endswith("k_proj.bias")}
    return {
        "loss": {str(line["step"]): torch.tensor(line["loss"]).double() for line in history if "loss" in line},
        "gradient": {str(name): moment for name, moment in moments.items()},
        "weight": weights,
    }


def differences(one: dict[str, Any], several: dict[str, Any]) -> dict[str, float]:
    """The largest absolute difference of each kind, and the largest value that it is to be compared with."""
    found = {}
    for kind, tensors in one.items():
        if tensors.keys() != several[kind].keys():
            raise ValueError(f"The runs have different names of {kind}: {tensors.keys() ^ several[kind].keys()}")
        found[kind] = max(float((several[kind][name] - tensor).abs().max()) for name, tensor in tensors.items())
        found[f"largest {kind}"] = max(float(tensor.abs().max()) for tensor in tensors.values())
    return found


def table(record: dict[str, Any]) -> str:
    """The differences as a table in Markdown; the last row of a stack has the values that they belong to."""
    lines = ["| stack | layout | processes | loss | first gradient | final weights |", "|" + " --- |" * 6]
    for stack, rows in record["stacks"].items():
        for name, row in rows.items():
            cells = " | ".join(f"{row[kind]:.1e}" for kind in ("loss", "gradient", "weight"))
            lines.append(f"| {stack} | {name} | {LAYOUTS[name].processes} | {cells} |")
        largest = next(iter(rows.values()))
        cells = " | ".join(f"{largest[f'largest {kind}']:.2g}" for kind in ("loss", "gradient", "weight"))
        lines.append(f"| {stack} | largest value | 1 | {cells} |")
    return "\n".join(lines)


def run(stacks: list[str], layouts: list[str]) -> dict[str, Any]:
    """Trains all and compares; returns the record."""
    record: dict[str, Any] = {"benchmark": "layouts", "machine": machine(), "updates": UPDATES, "stacks": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder / "data")
        for stack in stacks:
            alone: dict[int, dict[str, Any]] = {}
            for name in layouts:
                layout = LAYOUTS[name]
                if layout.batches not in alone:
                    output = folder / f"{stack}-one-{layout.batches}"
                    accumulate = f"training.gradient_accumulation_steps={layout.batches}"
                    train(recipe_of(stack, folder / "data", output, accumulate))
                    alone[layout.batches] = measured(output)
                output = folder / f"{stack}-{name}".replace(" ", "")
                recipe = recipe_of(stack, folder / "data", output, f"distributed={layout.section}")
                train(recipe, layout.processes)
                row = differences(alone[layout.batches], measured(output))
                record["stacks"].setdefault(stack, {})[name] = row
    return record


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks layouts", description=__doc__)
    parser.add_argument("--stacks", nargs="+", choices=STACKS, default=list(STACKS))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--output", type=Path, help="also write the record to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = run(arguments.stacks, arguments.layouts)
    if arguments.output is not None:
        write_json(arguments.output, record)
    print(table(record))


if __name__ == "__main__":
    main()
