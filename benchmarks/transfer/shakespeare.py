"""`python -m benchmarks.transfer.shakespeare`: nanoGPT's setting for a CPU on tiny Shakespeare.

Character by character: 4 layers, 4 heads, width 128, a context of 64, 12 rows an update, 2,000 updates, no dropout,
AdamW at 1e-3 falling to 1e-4 on a cosine, as config/train_shakespeare_char.py and the README of karpathy/nanoGPT say.
The README gives a validation loss of 1.88 nats; here it is the loss of every character of the validation text but the
first of each row, not of a sample. Texts are cut into rows of 65 characters, of which 64 are predicted; nanoGPT draws
its rows from random places.

`--nanogpt FOLDER` runs a checkout of nanoGPT beside it, on the same text and machine.
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

WANTED = 1.88
CONTEXT, ROWS, STEPS = 64, 12, 2000


def characters(folder: Path) -> Path:
    """A tokenizer of single characters, those of the training text; made once."""
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
    """Trains by `hf-vanilla pretrain` and reads what it measured."""
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
    """Runs nanoGPT's own train.py on the same characters.

    Raises:
        FileNotFoundError: there is no checkout.
        RuntimeError: it failed, or printed no loss.
    """
    if not (checkout / "train.py").is_file():
        raise FileNotFoundError(f"There is no train.py in {checkout}; give a checkout of karpathy/nanoGPT.")
    _write_nanogpt_data(checkout / "data" / "shakespeare_char")
    arguments = [
        "config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=100",
        f"--block_size={CONTEXT}", f"--batch_size={ROWS}", "--n_layer=4", "--n_head=4", "--n_embd=128",
        f"--max_iters={steps}", f"--lr_decay_iters={steps}", f"--eval_interval={steps}", "--dropout=0.0",
    ]  # fmt: skip
    began = time.monotonic()
    found = subprocess.run(
        [sys.executable, "train.py", *arguments], cwd=checkout, env=dict(os.environ), capture_output=True, text=True
    )
    seconds = time.monotonic() - began
    losses = re.findall(r"step (\d+): train loss [\d.]+, val loss ([\d.]+)", found.stdout)
    if found.returncode or not losses:
        raise RuntimeError(
            f"nanoGPT ended with status {found.returncode}:\n{found.stdout[-500:]}\n{found.stderr[-2000:]}"
        )
    return {"validation_loss": float(losses[-1][1]), "steps": int(losses[-1][0]), "training_seconds": round(seconds, 1)}


def _write_nanogpt_data(folder: Path) -> None:
    """What its data/shakespeare_char/prepare.py makes, from the text that is here."""
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
        f"{WANTED}; nanoGPT estimates it from 240 random rows, ours is of all).",
        "",
        "| | validation loss | seconds of training |",
        "| --- | ---: | ---: |",
    ]
    for cell in record["cells"]:
        name = (
            "hf-vanilla pretrain" if cell["side"] == "ours" else "nanoGPT, its two evaluations and its start included"
        )
        lines.append(f"| {name} | {cell['validation_loss']:.3f} | {cell['training_seconds']:.0f} |")
    loss = record["cells"][0]["validation_loss"]
    return "\n".join([*lines, "", f"Wanted: at most {WANTED}; {'reached' if loss <= WANTED else 'not reached'}."])


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then record and table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.shakespeare", description=__doc__)
    parser.add_argument("--nanogpt", type=Path, metavar="FOLDER", help="a checkout of nanoGPT to run beside it")
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
