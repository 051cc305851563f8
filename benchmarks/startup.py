"""`python -m benchmarks startup`: seconds from Enter to the answer of a command, beside a plain script.

Help, the version and wrong arguments are timed alone. One text is translated, continued, filled in and classified by
the command and by a plain script that imports transformers, loads the same model with the Auto classes and answers.
Each measurement is a new process; the processes take turns. Beside the elapsed time stands that of the processor, which
other programs on the machine change less. The models have random weights and 4 (or 4 and 4) layers of
width 128, so that nearly all of the time is start-up.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from .records import RESULTS, machine, read_json, summary, write_json

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = "the old woman reads a book"
# Each in a folder with the models of `save_models`; none of them is right.
WRONG = {
    "unknown command": ["translat"],
    "unknown option": ["translate", "translate", "--num-bems", "4"],
    "number out of range": ["translate", "translate", "--num-beams", "0"],
    "mistyped folder": ["translate", "./runs/tinny"],
    "mistyped name, without network": ["translate", "runs/tinny"],
    "missing input file": ["translate", "translate", "--input", "missing.txt"],
    "model for another command": ["translate", "fill"],
    "unknown recipe field": ["train", "--recipe", "multi30k-en-de-tiny", "--training.max_stps", "9"],
    "missing data": ["train", "--recipe", "multi30k-en-de-tiny", "--data.path", "./missing", "--output", "run"],
    "missing base model": ["finetune", "./missing", "--task", "classification", "--data.path", "translate"],
}
COMMANDS: dict[str, list[str]] = {
    "translate": [],
    "generate": ["--max-new-tokens", "32", "--temperature", "0"],
    "fill": [],
    "classify": [],
}


def save_models(folder: Path) -> None:
    """Saves a model with random weights, and a tokenizer, for each of `COMMANDS`."""
    import torch

    import hf_vanilla_transformer as vanilla
    from hf_vanilla_transformer.demo.grammar import grammar_corpus
    from hf_vanilla_transformer.tokenization import train_tokenizer

    texts = [text for pair in grammar_corpus(2000, seed=0).train for text in (pair.english, pair.french)]
    sizes = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256, "max_position_embeddings": 256}
    models = {
        "translate": (vanilla.VanillaTransformerForConditionalGeneration, vanilla.VanillaTransformerConfig, "seq2seq"),
        "generate": (vanilla.VanillaDecoderForCausalLM, vanilla.VanillaDecoderConfig, "decoder"),
        "fill": (vanilla.VanillaEncoderForMaskedLM, vanilla.VanillaEncoderConfig, "encoder"),
        "classify": (vanilla.VanillaEncoderForSequenceClassification, vanilla.VanillaEncoderConfig, "encoder"),
    }
    for name, (model_class, config_class, template) in models.items():
        kind = "wordpiece" if template == "encoder" else "byte_bpe"
        tokenizer = train_tokenizer(texts, kind=kind, vocab_size=500, template=template, model_max_length=256)
        special = {"pad_token_id": tokenizer.pad_token_id}
        if template != "encoder":
            special |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        if template == "seq2seq":
            layers = {"encoder_layers": 4, "decoder_layers": 4, "decoder_start_token_id": tokenizer.bos_token_id}
        else:
            layers = {"num_hidden_layers": 4}
        torch.manual_seed(0)
        model = model_class(config_class(vocab_size=len(tokenizer), **sizes, **special, **layers))
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def text_for(command: str) -> str:
    """The text that a command gets."""
    return TEXT.replace("book", "[MASK]") if command == "fill" else TEXT


def seconds(
    arguments: list[str], folder: Path, threads: int, *, text: str = "", status: int = 0
) -> tuple[float, float]:
    """The seconds that a new Python process takes: elapsed, and of the processor.

    Args:
        arguments: of Python.
        folder: the working directory.
        threads: of the process.
        text: its standard input.
        status: how it must end.

    Raises:
        RuntimeError: it ends otherwise; the message has the end of its output.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "HF_VANILLA_"))}
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    variables |= {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    begin, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables, input=text, capture_output=True, text=True, check=False
    )
    elapsed, after = time.perf_counter() - begin, os.times()
    computed = after.children_user + after.children_system - before.children_user - before.children_system
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return elapsed, computed


def measure(repeats: int, threads: int, folder: Path) -> dict[str, Any]:
    """All processes in turns: the seconds of each."""
    command_line = ["-m", "hf_vanilla_transformer.commands.main"]
    alone = {"python -c pass": (["-c", "pass"], 0)}
    alone |= {name: ([*command_line, name], 0) for name in ("--help", "--version")}
    alone |= {"translate --help": ([*command_line, "translate", "--help"], 0)}
    alone |= {name: ([*command_line, *arguments], 2) for name, arguments in WRONG.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in alone}
    answers: dict[str, dict[str, list[tuple[float, float]]]] = {
        name: {"command": [], "script": []} for name in COMMANDS
    }
    for turn in tqdm(range(repeats + 1), desc="startup", unit="turn"):
        for name, (arguments, status) in alone.items():
            value = seconds(arguments, folder, threads, status=status)
            taken[name] += [value] if turn else []  # the first turn reads the files from the disk
        for name, options in COMMANDS.items():
            text = text_for(name)
            script = ["-m", "benchmarks.startup_worker", name, name, text]
            value = seconds(script, folder, threads)
            answers[name]["script"] += [value] if turn else []
            value = seconds([*command_line, name, name, *options], folder, threads, text=f"{text}\n")
            answers[name]["command"] += [value] if turn else []
    return {
        "alone": {name: _summaries(values) for name, values in taken.items()},
        "answers": {
            name: {
                "command": _summaries(of_both["command"]),
                "script": _summaries(of_both["script"]),
                "ratio": _summaries([(a / b, c / d) for (a, c), (b, d) in zip(of_both["command"], of_both["script"])]),
            }
            for name, of_both in answers.items()
        },
    }


def _summaries(values: list[tuple[float, float]]) -> dict[str, Any]:
    elapsed, computed = zip(*values)
    return {"elapsed": summary(list(elapsed)), "processor": summary(list(computed))}


def table(record: dict[str, Any]) -> str:
    """Markdown: what is timed alone, then the commands beside the plain script."""
    lines = ["| command line | seconds (low – high) | of the processor |", "| --- | --- | --- |"]
    lines += [f"| {name} | {_cells(values)} |" for name, values in record["results"]["alone"].items()]
    lines += [
        "",
        "| one text | command, seconds | of the processor | script, seconds | of the processor | command / script "
        "| of the processor |",
        "| --- |" + " --- |" * 6,
    ]
    for name, values in record["results"]["answers"].items():
        lines.append(f"| {name} | {' | '.join(_cells(values[side]) for side in ('command', 'script', 'ratio'))} |")
    note = f"Medians of {record['repeats']} turns, {record['threads']} threads."
    if (load := record["machine"]["load_average"]) is not None:
        note += (
            f" The load average of the machine was {load} at the beginning: where it is above the number of cores, "
            "other programs took part of the elapsed time, and the time of the processor says more."
        )
    return "\n".join([*lines, "", note])


def _cells(values: dict[str, Any]) -> str:
    return f"{_spread(values['elapsed'])} | {_spread(values['processor'])}"


def _spread(values: dict[str, Any]) -> str:
    return f"{values['median']:.2f} ({values['low']:.2f} – {values['high']:.2f})"


def main(arguments: list[str] | None = None) -> None:
    """Measures, writes the record, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="number of turns (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of each process (default: one for each core)")
    parser.add_argument("--output", type=Path, default=RESULTS / "startup.json")
    options = parser.parse_args(arguments)
    for name in ("repeats", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, not {value}")
    threads = options.threads or len(os.sched_getaffinity(0))
    record: dict[str, Any] = {
        "benchmark": "startup", "machine": machine(), "repeats": options.repeats, "threads": threads,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        record["results"] = measure(options.repeats, threads, Path(folder))
    write_json(options.output, record)
    print(table(read_json(options.output)))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
