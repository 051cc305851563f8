"""`python -m benchmarks.transfer.shakespeare`: nanoGPT's setting for a CPU on tiny Shakespeare.

Characters are tokens. 4 layers, 4 heads, width 128, a context of 64, 12 rows per update, 2,000 updates, no dropout,
AdamW with a cosine schedule from 1e-3 to 1e-4, as in config/train_shakespeare_char.py and the README of
karpathy/nanoGPT. The README reports a validation loss of 1.88 nats, estimated from a sample. Our loss is the mean over
all characters of the validation text except the first of each row. Our texts are cut into rows of 65 characters, of
which 64 are predicted; nanoGPT samples its rows at random positions.

`--nanogpt FOLDER` also runs a checkout of nanoGPT on the same text and machine.
"""

from __future__ import annotations

import argparse
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..allocator import restart_tuned
from ..corpora import data_folder
from ..records import machine
from .cells import Cell, common_arguments, folder_name, record_file, results_of, write_record
from .steps import command, dotted

TARGET = 1.88
CONTEXT, ROWS, STEPS = 64, 12, 2000


def characters(folder: Path) -> Path:
    """A tokenizer with the characters of the training text as tokens, written if it does not exist."""
    if not (folder / "tokenizer.json").is_file():
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        text = (data_folder() / "tiny_shakespeare" / "train.txt").read_text(encoding="utf-8")
        special = ["<pad>", "<s>", "</s>", "<unk>"]
        vocabulary = {character: number for number, character in enumerate([*special, *sorted(set(text))])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
            padding_side="left",
        ).save_pretrained(folder)  # fmt: skip
    return folder


def ours(folder: Path, steps: int, precision: str) -> dict[str, Any]:
    """Trains with `hf-vanilla pretrain` and returns its loss and time."""
    import json

    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    model = {
        "num_hidden_layers": 4, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512,
        "max_position_embeddings": CONTEXT + 1, "dropout": 0.0, "attention_dropout": 0.0,
    }  # fmt: skip
    fields = {
        **{f"model.config.{name}": value for name, value in model.items()},
        "tokenizer.path": characters(folder / "tokenizer"),
        "data.path": data_folder() / "tiny_shakespeare",
        "data.sample_by": "document",
        "data.max_length": CONTEXT + 1,
        "data.packing": False,
        "training.tokens_per_batch": ROWS * (CONTEXT + 1),
        "training.max_steps": steps,
        "training.num_train_epochs": None,
        "training.learning_rate": 1e-3,
        "training.final_learning_rate_ratio": 0.1,
        "training.warmup_steps": min(100, steps // 2),
        "training.adam_beta2": 0.99,
        "training.weight_decay": 0.1,
        "training.max_grad_norm": 1.0,
        "training.precision": precision,
        "training.logging_steps": min(100, steps),
        "checkpoint.save_steps": None,
    }
    command(["pretrain", "--objective", "causal", "--output", run, *dotted(fields)])
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return {
        "validation_loss": results["validation_loss"],
        "steps": results["steps"],
        "training_seconds": results["training_seconds"],
    }


def nanogpt(checkout: Path, steps: int) -> dict[str, Any]:
    """Runs nanoGPT's train.py on the same text.

    Raises:
        FileNotFoundError: `checkout` contains no train.py.
        RuntimeError: train.py failed, or printed no loss.
    """
    if not (checkout / "train.py").is_file():
        raise FileNotFoundError(f"There is no train.py in {checkout}: give a checkout of karpathy/nanoGPT.")
    _write_nanogpt_data(checkout / "data" / "shakespeare_char")
    arguments = [
        "config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=100",
        f"--block_size={CONTEXT}", f"--batch_size={ROWS}", "--n_layer=4", "--n_head=4", "--n_embd=128",
        f"--max_iters={steps}", f"--lr_decay_iters={steps}", f"--eval_interval={steps}", "--dropout=0.0",
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "train.py", *arguments], cwd=checkout, env=dict(os.environ), capture_output=True, text=True
    )
    seconds = time.monotonic() - began
    losses = re.findall(r"step (\d+): train loss [\d.]+, val loss ([\d.]+)", done.stdout)
    if done.returncode or not losses:
        raise RuntimeError(
            f"nanoGPT failed with status {done.returncode}:\n{done.stdout[-500:]}\n{done.stderr[-2000:]}"
        )
    return {"validation_loss": float(losses[-1][1]), "steps": int(losses[-1][0]), "training_seconds": round(seconds, 1)}


def _write_nanogpt_data(folder: Path) -> None:
    """Writes the files of nanoGPT's data/shakespeare_char/prepare.py for our text."""
    import numpy as np

    texts = {
        name: (data_folder() / "tiny_shakespeare" / f"{split}.txt").read_text(encoding="utf-8")
        for name, split in (("train", "train"), ("val", "validation"))
    }
    numbers = {character: number for number, character in enumerate(sorted(set("".join(texts.values()))))}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        np.array([numbers[character] for character in text], dtype=np.uint16).tofile(folder / f"{name}.bin")
    meta = {"vocab_size": len(numbers), "stoi": numbers, "itos": {number: one for one, number in numbers.items()}}
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))


def table(record: dict[str, Any]) -> str:
    """Markdown: loss and time of each side."""
    lines = [
        f"Validation loss in nats per character after {record['cells'][0]['steps']:,} updates (nanoGPT's README: "
        f"{TARGET}; nanoGPT estimates it from 240 random rows, ours is of all rows).",
        "",
        "| | validation loss | seconds of training |",
        "| --- | ---: | ---: |",
    ]
    for cell in record["cells"]:
        name = "hf-vanilla pretrain" if cell["side"] == "ours" else "nanoGPT, with its start and its two evaluations"
        lines.append(f"| {name} | {cell['validation_loss']:.3f} | {cell['training_seconds']:.0f} |")
    loss = record["cells"][0]["validation_loss"]
    return "\n".join([*lines, "", f"Target: at most {TARGET}; {'reached' if loss <= TARGET else 'not reached'}."])


def main(arguments: list[str] | None = None) -> None:
    """Runs the missing cells; writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.shakespeare", description=__doc__)
    parser.add_argument("--nanogpt", type=Path, metavar="FOLDER", help="also run this checkout of nanoGPT")
    common_arguments(parser, "runs/transfer")
    options = parser.parse_args(arguments)
    if arguments is None:
        restart_tuned()
    steps = 20 if options.quick else STEPS
    folder = options.folder / folder_name("shakespeare", options)
    cells = [Cell("ours", {"side": "ours"}, lambda: ours(folder, steps, options.precision))]
    if options.nanogpt is not None or (folder / "cells" / "nanogpt.json").is_file():
        checkout = options.nanogpt
        cells.append(Cell("nanogpt", {"side": "nanogpt"}, lambda: nanogpt(checkout, steps)))
    file = record_file("transfer_shakespeare", folder, options)
    setting = {"steps": steps, "precision": options.precision}
    records = results_of(cells, cells, folder / "cells", file, setting, options)
    record = {
        "benchmark": "shakespeare", "machine": machine(), "quick": options.quick, "setting": setting, "cells": records,
    }  # fmt: skip
    write_record(file, record, table(record))


if __name__ == "__main__":
    main()
