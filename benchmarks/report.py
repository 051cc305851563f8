"""`python -m benchmarks.report`: writes the tables of docs/benchmarks.md from the JSON files in benchmarks/results.

All figures of the page come from files that benchmarks wrote. `--check` fails if the page and the files differ.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from . import decoding, exports, loss, multi30k, multi30k_ablation, precision, products, training
from .records import RESULTS, read_json, write_text
from .training_sides import SETTINGS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
MISSING = "Not measured yet."


def where(record: dict[str, Any]) -> str:
    """The machine of a record, in one sentence."""
    machine = record["machine"]
    return (
        f"Measured on {machine['cores']} cores of {machine['processor']} ({machine['capability']}), "
        f"torch {machine['torch']}, transformers {machine['transformers']}, Python {machine['python']}."
    )


def sections(results: Path) -> dict[str, str]:
    """The text of each part of the page, by its name."""
    texts = {}
    by_machine: dict[str, list[dict[str, Any]]] = {}
    for name, setting in SETTINGS.items():
        file = results / f"training_{name}.json"
        if file.is_file():
            record = read_json(file)
            by_machine.setdefault(where(record), []).append({**record, "title": setting.title})
    parts = [text for machine, records in by_machine.items() for text in (machine, training.table(records))]
    texts["training"] = "\n\n".join(parts) if parts else MISSING
    modules = {
        "products": products,
        "loss": loss,
        "exports": exports,
        "decoding": decoding,
        "precision": precision,
        "multi30k": multi30k,
        "multi30k_ablation": multi30k_ablation,
    }
    for name, module in modules.items():
        file = results / f"{name}.json"
        if file.is_file():
            record = read_json(file)
            texts[name] = f"{where(record)}\n\n{module.table(record)}"
        else:
            texts[name] = MISSING
    if (results / "multi30k.png").is_file() and texts["multi30k"] != MISSING:
        texts["multi30k"] += "\n\n![BLEU against minutes of training](../benchmarks/results/multi30k.png)"
    return texts


def render(page: str, texts: dict[str, str]) -> str:
    """Replaces each `<!-- results: NAME -->` part of the page.

    Raises:
        ValueError: the page has no such part.
    """
    for name, text in texts.items():
        begin, end = f"<!-- results: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"The page has no part {begin} ... {end}: add these two lines where the table belongs.")
        page = pattern.sub(lambda _, text=text: f"{begin}\n{text}\n{end}", page)  # noqa: B023
    return page


def main(arguments: list[str] | None = None) -> None:
    """Renders or checks the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--check", action="store_true", help="only check that the page is up to date")
    options = parser.parse_args(arguments)
    before = options.page.read_text(encoding="utf-8")
    after = render(before, sections(options.results))
    if options.check:
        if after != before:
            raise SystemExit(
                f"{options.page} differs from the records in {options.results}: run python -m benchmarks.report"
            )
    elif after != before:
        write_text(options.page, after)
        print(f"written: {options.page}")


if __name__ == "__main__":
    main()
