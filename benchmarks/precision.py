"""`python -m benchmarks precision FOLDER ...`: BLEU and perplexity of trained models in int8 and bfloat16.

Each FOLDER is the output folder of `hf-vanilla train` or `pretrain`. Its recipe says on which test split to evaluate.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from hf_vanilla_transformer.inference.low_precision import PRECISIONS, check_precision
from hf_vanilla_transformer.model_folders import model_folder
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.split_scores import score_split

from .records import RESULTS, machine, write_json

# The scores that are shown, and how many digits they have.
SCORES = {"bleu": 2, "chrf": 2, "perplexity": 3}


def run(folder: str, split: str) -> dict[str, Any]:
    """The scores of one model in each precision, and the seconds that they took."""
    model = Path(model_folder(folder))
    recipe = load_recipe(model)
    config = {"task": recipe.task, "data": Path(str(recipe.data.path)).name}
    results: dict[str, Any] = {}
    for precision in PRECISIONS:
        try:
            check_precision(precision)
        except ValueError as error:
            results[precision] = {"not_run": str(error)}
            continue
        begin = time.perf_counter()
        scores = score_split(recipe, model, split, precision=precision)
        results[precision] = {name: scores[name] for name in SCORES if name in scores}
        results[precision]["seconds"] = time.perf_counter() - begin
    return {**config, "results": results}


def table(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| model | precision | BLEU | chrF | perplexity | seconds |", "| --- | --- | --- | --- | --- | --- |"]
    for name, model in record["models"].items():
        title = f"{name}: {model['task']}, {model['data']}"
        for precision, values in model["results"].items():
            if "not_run" in values:
                lines.append(f"| {title} | {precision} | not run: {values['not_run'].split(':')[0]} | | | |")
                continue
            cells = [f"{values[score]:.{digits}f}" if score in values else "–" for score, digits in SCORES.items()]
            lines.append(f"| {title} | {precision} | {' | '.join(cells)} | {values['seconds']:.0f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Evaluates the models, writes the record, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks precision", description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="output folder of hf-vanilla train or pretrain")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--output", type=Path, default=RESULTS / "precision.json")
    options = parser.parse_args(arguments)
    record: dict[str, Any] = {"benchmark": "precision", "machine": machine(), "split": options.split, "models": {}}
    for folder in options.folders:
        record["models"][Path(folder).name] = run(folder, options.split)
        write_json(options.output, record)
    print(table(record))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
