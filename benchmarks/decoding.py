"""`python -m benchmarks decoding`: the speed of models in use, beside transformers, CTranslate2 and ONNX Runtime.

Each engine is a process with one model: ours, the class of transformers to which it exports, and its exports to
CTranslate2 (float32 and int8) and ONNX Runtime. All get the same batches, the same number of threads and the tuned
allocator, and take turns. The tokens of all engines are compared with those of transformers; for an encoder, the hidden
states. A search generates until the end of the sentence, or a fixed number of tokens where the weights are random.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from .allocator import environment
from .decoding_cells import CELLS, LIMIT, SEARCHES, Cell, Work, make_work, save_model, write_work
from .decoding_engines import ENGINES, FLOAT32, FOLDERS, TITLES, folder_name, supports
from .records import RESULTS, machine, read_json, summary, write_json
from .turns import TurnTaker

LIBRARIES = ("ctranslate2", "onnxruntime")
ROWS = (1, 8, 64)
# Number of batches in a turn, by the number of rows of a batch.
BATCHES = {1: 16, 8: 6, 64: 2}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks decoding", description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), metavar="NAME", help=", ".join(CELLS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS), help="rows in a batch (default: 1 8 64)")
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--translation", type=Path, help="a model trained on Multi30k, for the cell `trained`")
    parser.add_argument("--repeats", type=int, default=7, help="number of turns of each engine (default: %(default)s)")
    parser.add_argument(
        "--batches", type=int, help="number of batches in a turn (default: 16, 6 and 2 for 1, 8, 64 rows)"
    )
    parser.add_argument("--threads", type=int, help="number of threads of each engine (default: one for each core)")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: HF_VANILLA_DATA)")
    parser.add_argument("--exports", type=Path, help="folder that keeps the exports for the next run")
    parser.add_argument("--quick", action="store_true", help="tiny models and one turn, to test the command")
    parser.add_argument("--output", type=Path, default=RESULTS / "decoding.json")
    options = parser.parse_args(arguments)
    for name in ("repeats", "batches", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, not {value}")
    if min(options.rows) < 1:
        parser.error(f"--rows must be at least 1, not {min(options.rows)}")
    if "trained" in options.cells and options.translation is None:
        parser.error(
            "the cell trained needs --translation FOLDER, which `hf-vanilla train --recipe multi30k-en-de-tiny-raw` "
            f"trains; or leave it out: --cells {' '.join(name for name in CELLS if name != 'trained')}"
        )
    if options.quick:
        options.repeats, options.batches, options.threads = 1, 1, 1
    options.threads = options.threads or len(os.sched_getaffinity(0))
    return options


def export(cell: Cell, folder: Path, engine: str, translation: Path | None) -> None:
    """Writes the model of a cell for an engine into `folder`, unless it is there from an earlier run."""
    from hf_vanilla_transformer.conversion.exports import export_to

    own = folder / "vanilla"
    if not own.is_dir():
        save_model(cell, own, translation)
    to, numbers = FOLDERS[engine]
    target = folder / folder_name(engine)
    if not target.is_dir():
        export_to(own, target, to, quantization=numbers)


def run_cell(name: str, options: argparse.Namespace, exports: Path, record: dict[str, Any]) -> None:
    """Measures one model with all numbers of rows and searches; adds each result to the record and writes it."""
    cell = CELLS[name].reduced() if options.quick else CELLS[name]
    folder = exports / name
    for engine in options.engines:
        export(cell, folder, engine, options.translation)
    results = record["cells"].setdefault(name, {"title": cell.title, "results": {}})["results"]
    for rows in options.rows:
        work = make_work(cell, folder / "vanilla", rows, options.batches or BATCHES.get(rows, 4), options.data)
        searches = ["encode"] if cell.stack == "encoder" else options.searches
        for search in searches:
            measured = measure(name, cell, rows, search, work, folder, options)
            if work.references:
                add_bleu(measured, work, folder / "vanilla")
            results[f"{rows} {search}"] = {"rows": rows, "search": search, "engines": measured}
            write_json(options.output, record)


def measure(
    name: str, cell: Cell, rows: int, search: str, work: Work, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """All engines in turns on one model with one search and one number of rows."""
    beams = SEARCHES.get(search, 1)
    engines = [engine for engine in options.engines if supports(engine, beams)]
    variables = environment("tuned") | {
        "OMP_NUM_THREADS": str(options.threads),
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_OFFLINE": "1",
    }
    with tempfile.TemporaryDirectory() as aside, ExitStack() as stack:
        file = Path(aside) / "work.json"
        write_work(file, work)
        workers, ready = {}, {}
        for engine in engines:
            arguments = [engine, "--folder", str((folder / folder_name(engine)).resolve()), "--stack", cell.stack]
            arguments += ["--work", str(file), "--beams", str(beams), "--limit", str(LIMIT)]
            arguments += ["--threads", str(options.threads)]
            arguments += [] if cell.new_tokens is None else ["--new-tokens", str(cell.new_tokens)]
            workers[engine] = stack.enter_context(TurnTaker("benchmarks.decoding_worker", arguments, variables))
            ready[engine] = workers[engine].result()  # waits, so that the processes start one by one
        turns: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
        for _ in tqdm(range(options.repeats), desc=f"{name}, {rows} rows, {search}", unit="turn"):
            for engine, worker in workers.items():
                turns[engine].append(worker.turn())
    return tabulate(turns, ready)


def tabulate(turns: dict[str, list[dict[str, float]]], ready: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Medians and ranges of each engine, and how its answers agree with those of transformers."""
    measured = {}
    for engine, results in turns.items():
        values = {
            "tokens_per_second": summary([result["tokens_per_second"] for result in results]),
            "peak_memory": max(result["peak_memory"] for result in results),
            **{fact: ready[engine][fact] for fact in ("load", "first_token", "outputs") if fact in ready[engine]},
        }
        reference = ready.get("transformers")
        if reference is not None and "outputs" in reference:
            pairs = list(zip(ready[engine]["outputs"], reference["outputs"]))
            values["same"] = [sum(one == other for one, other in pairs), len(pairs)]
        elif reference is not None:
            pairs = zip(ready[engine]["states"], reference["states"])
            values["difference"] = max(abs(a - b) for one, other in pairs for a, b in zip(one, other))
        measured[engine] = values
    return measured


def add_bleu(measured: dict[str, Any], work: Work, folder: Path) -> None:
    """The BLEU of each engine's translations."""
    import sacrebleu
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for values in measured.values():
        texts = tokenizer.batch_decode(values["outputs"], skip_special_tokens=True)
        values["bleu"] = sacrebleu.corpus_bleu(texts, [work.references]).score


def without_outputs(record: dict[str, Any]) -> dict[str, Any]:
    """The record without the tokens, which only the comparison needed."""
    for cell in record["cells"].values():
        for result in cell["results"].values():
            for values in result["engines"].values():
                values.pop("outputs", None)
    return record


def ratio(result: dict[str, Any], own: str, others: list[str]) -> dict[str, Any] | None:
    """The speed of `own` relative to the fastest of the others in each turn; None if one side was not measured."""
    engines = result["engines"]
    speeds = {name: engines[name]["tokens_per_second"]["values"] for name in (own, *others) if name in engines}
    if own not in speeds or len(speeds) < 2:
        return None
    mine = speeds.pop(own)
    return summary([one / max(best) for one, *best in zip(mine, *speeds.values())])


def table(record: dict[str, Any]) -> str:
    """Markdown: the speeds, then the other figures of each engine."""
    engines = [engine for engine in ENGINES if _has(record, engine)]
    heads = [TITLES[engine] for engine in engines]
    lines = [
        f"| model | rows | search | {' | '.join(heads)} | ours / best of float32 (low – high) | same tokens |",
        "| --- | --- | --- |" + " --- |" * (len(heads) + 2),
    ]
    others = [engine for engine in FLOAT32 if engine != "ours"]
    for cell, result in _results(record):
        speeds = []
        for engine in engines:
            values = result["engines"].get(engine)
            speeds.append("–" if values is None else f"{values['tokens_per_second']['median']:,.0f}")
        best = ratio(result, "ours", others)
        gain = "–" if best is None else f"**{best['median']:.2f}** ({best['low']:.2f} – {best['high']:.2f})"
        lines.append(
            f"| {cell['title']} | {result['rows']} | {result['search']} | {' | '.join(speeds)} | {gain} "
            f"| {_agreement(result)} |"
        )
    lines += ["", "Tokens per second; for the encoder, tokens read. Then the other figures of each engine:", ""]
    lines += [
        "| model | rows | search | engine | first token | load, with imports | peak memory | BLEU |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell, result in _results(record):
        for engine, values in result["engines"].items():
            first, bleu = values.get("first_token"), values.get("bleu")
            lines.append(
                f"| {cell['title']} | {result['rows']} | {result['search']} | {TITLES[engine]} "
                f"| {'–' if first is None else f'{first * 1e3:,.0f} ms'} | {values['load']:.1f} s "
                f"| {values['peak_memory'] / 1e6:,.0f} MB | {'–' if bleu is None else f'{bleu:.1f}'} |"
            )
    versions = ", ".join(f"{name} {version}" for name, version in record["libraries"].items())
    return "\n".join([*lines, "", f"With {versions}, {record['threads']} threads."])


def _results(record: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(cell, result) for cell in record["cells"].values() for result in cell["results"].values()]


def _has(record: dict[str, Any], engine: str) -> bool:
    return any(engine in result["engines"] for _, result in _results(record))


def _agreement(result: dict[str, Any]) -> str:
    """How the answers of the float32 engines agree with those of transformers."""
    parts = []
    for engine in FLOAT32:
        values = result["engines"].get(engine)
        if values is None or engine == "transformers":
            continue
        if "same" in values:
            parts.append(f"{TITLES[engine]} {values['same'][0]} of {values['same'][1]}")
        elif "difference" in values:
            parts.append(f"{TITLES[engine]} ± {values['difference']:.0e}")
    return ", ".join(parts) or "–"


def main(arguments: list[str] | None = None) -> None:
    """Measures the cells, writes the record after each result, and prints the table."""
    options = parse(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    record: dict[str, Any] = {
        "benchmark": "decoding",
        "machine": machine(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES if _is_installed(name)},
        "threads": options.threads,
        "repeats": options.repeats,
        "cells": {},
    }
    with tempfile.TemporaryDirectory() as aside:
        for name in options.cells:
            run_cell(name, options, options.exports or Path(aside), record)
    write_json(options.output, without_outputs(record))
    print(table(read_json(options.output)))
    print(f"written: {options.output}")


def _is_installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
