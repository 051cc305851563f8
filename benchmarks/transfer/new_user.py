"""`python -m benchmarks.transfer.new_user`: follows docs/walkthrough.ko.md on NSMC, as a new user does.

The commands are read from the page and run unchanged, each in a separate process, in a folder with the three files of
the page: general text, reviews without labels, and a CSV file with 1,000 labelled reviews. The only additions are a
time limit, test rows, and the two other starts of the comparison. Then a process that does not import this package
loads the folder of `hf-vanilla publish --dry-run`, as its users do.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from ..allocator import restart_tuned
from ..records import machine, write_text
from . import corpora
from .cells import record_file, say, write_record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "walkthrough.ko.md"
LABELS = {0: "부정", 1: "긍정"}
SCORED = 5000
_FRESH = """
import sys
from transformers import pipeline
classify = pipeline("text-classification", model=sys.argv[1], trust_remote_code=True)
for text in sys.argv[2:]:
    print(text, classify(text)[0])
print("imported", "hf_vanilla_transformer" in sys.modules)
"""


def page_commands(page: Path = PAGE) -> list[list[str]]:
    """The commands of the page in order, split into words, without the one that converts a published model."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line)) and words[:2] != ["hf-vanilla", "convert"]]


def write_files(folder: Path, rows: int, limit: int | None) -> None:
    """Writes `general.txt`, `unlabelled.txt`, `reviews.csv` and `test.csv` with NSMC and other Korean text."""
    texts_of = corpora.nsmc(folder / "data", limit)
    for name, source in (("general", texts_of.general), ("unlabelled", texts_of.domain)):
        texts = parquet.read_table(source / "train.parquet")["text"].to_pylist()
        lines = [" ".join(text.split()) for text in texts]
        write_text(folder / f"{name}.txt", "\n".join(line for line in lines if line) + "\n")
    for name, split, count in (("reviews", "train", rows), ("test", "test", SCORED)):
        table = parquet.read_table(texts_of.labelled / f"{split}.parquet").to_pylist()
        # The rows of the data set are sorted by label.
        table = random.Random(0).sample(table, min(count, len(table)))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([row["text"], LABELS[row["label"]]] for row in table if row["text"].strip())


def added(name: str, options: argparse.Namespace) -> list[str]:
    """The arguments that are added to a command of the page."""
    precision = ["--training.precision", options.precision]
    minutes = ["--training.max_minutes", str(options.minutes), "--training.schedule_by", "minutes"]
    if name == "pretrain":
        return [*precision, *minutes, *(["--tokenizer.vocab_size", "3000"] if options.quick else [])]
    if name == "adapt":
        return [*precision, *minutes]
    if name == "finetune":
        return [*precision, "--data.test", "test.csv", "--comparison.start", "[before, scratch]"]
    return []


def follow(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs the commands in `folder`; returns each command and its seconds.

    Raises:
        RuntimeError: a command failed; the message has the end of its output.
    """
    commands = []
    for words in page_commands():
        standard_input = ""
        if words[0] == "echo":
            standard_input, words = words[1] + "\n", words[words.index("|") + 1 :]
        arguments = [*words[1:], *added(words[1], options)]
        say(f"$ hf-vanilla {shlex.join(arguments)}")
        began = time.monotonic()
        command = [sys.executable, "-m", "hf_vanilla_transformer.commands.main", *arguments]
        done = subprocess.run(command, cwd=folder, input=standard_input, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(words)} failed with status {done.returncode}:\n{done.stdout[-2000:]}")
        say(done.stdout)
        commands.append(
            {"command": shlex.join(words), "added": shlex.join(added(words[1], options)),
             "seconds": round(time.monotonic() - began, 1)}
        )  # fmt: skip
    return commands


def receive(folder: Path, published: Path) -> list[str]:
    """The output of a process that loads a copy of the published folder with transformers alone."""
    elsewhere = folder / "received"
    shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.copytree(published, elsewhere)
    texts = ["정말 재미있게 봤어요!", "시간이 아깝다. 보지 마세요"]
    command = [sys.executable, "-c", _FRESH, str(elsewhere), *texts]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The published folder does not load:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def table(record: dict[str, Any]) -> str:
    """Markdown: the commands with their minutes, the accuracies of the three starts, and the output of `receive`."""
    lines = ["| command | minutes |", "| --- | ---: |"]
    lines += [f"| `{one['command']}` | {one['seconds'] / 60:.1f} |" for one in record["commands"]]
    results = record["results"]
    lines += [
        "",
        f"{record['rows']:,} labelled rows; accuracy on {record['scored']:,} rows of NSMC's test set:",
        "",
        "| fine-tuned from | accuracy |",
        "| --- | ---: |",
        f"| the adapted model | {100 * results['adapted']:.1f} |",
        f"| the pretrained model | {100 * results['before']:.1f} |",
        f"| random weights | {100 * results['scratch']:.1f} |",
        "",
        "Output of a process that has the published folder and transformers, but not this package:",
        "",
        "```text",
        *record["received"],
        "```",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Follows the page; writes the record and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.new_user", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/transfer"), help="working folder")
    parser.add_argument("--results", type=Path, help="folder for the table (default: benchmarks/results)")
    parser.add_argument("--minutes", type=float, default=6, help="minutes of pretraining, and of adaptation")
    parser.add_argument("--rows", type=int, default=1000, help="number of labelled rows in the CSV file")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--quick", action="store_true", help="run on a fraction of the data, to test that it works")
    options = parser.parse_args(arguments)
    if options.quick:
        options.minutes, options.rows = 0.1, min(options.rows, 60)
    if arguments is None:
        restart_tuned()
    folder = options.folder / f"new-user{'-quick' if options.quick else ''}"
    shutil.rmtree(folder / "runs", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, options.rows, 400 if options.quick else None)
    commands = follow(folder, options)
    run = folder / "runs" / "sentiment"
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    compared = {
        start: json.loads((run / "compared" / start / "results.json").read_text(encoding="utf-8"))["test_accuracy"]
        for start in ("before", "scratch")
    }
    record = {
        "benchmark": "new_user", "machine": machine(), "quick": options.quick,
        "setting": {"minutes": options.minutes, "backbone": {"precision": options.precision}},
        "rows": options.rows, "scored": sum(1 for _ in (run / "predictions_test.jsonl").open(encoding="utf-8")),
        "commands": commands, "results": {"adapted": results["test_accuracy"], **compared},
        "received": receive(folder, run / "model-to-publish"),
    }  # fmt: skip
    file = record_file("transfer_new_user", folder, options)
    write_record(file, record, table(record), f"; the report is {run / 'report.md'}")


if __name__ == "__main__":
    main()
