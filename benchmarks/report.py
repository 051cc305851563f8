"""`python -m benchmarks.report`: writes the tables of the pages in docs/ from the JSON files in benchmarks/results.

All figures of the tables come from files that benchmarks wrote. `--check` fails if the pages and the files differ.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from . import (
    decoding,
    exports,
    length,
    loss,
    multi30k,
    multi30k_ablation,
    precision,
    products,
    real_checkpoint,
    startup,
    training,
)
from .records import RESULTS, read_json, write_text
from .training_sides import SETTINGS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
# Benchmarks whose table stands on a page of its own.
OTHER_PAGES = {"real_checkpoint": (real_checkpoint, DOCS / "real-checkpoints.md")}
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
        "length": length,
        "exports": exports,
        "decoding": decoding,
        "precision": precision,
        "startup": startup,
        "multi30k": multi30k,
        "multi30k_ablation": multi30k_ablation,
    }
    for name, module in modules.items():
        texts[name] = section(results, name, module)
    if (results / "multi30k.png").is_file() and texts["multi30k"] != MISSING:
        texts["multi30k"] += "\n\n![BLEU against minutes of training](../benchmarks/results/multi30k.png)"
    return texts


def section(results: Path, name: str, module: Any) -> str:
    """The machine and the table of one record."""
    file = results / f"{name}.json"
    if not file.is_file():
        return MISSING
    record = read_json(file)
    return f"{where(record)}\n\n{module.table(record)}"


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
    """Renders or checks the pages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--check", action="store_true", help="only check that the page is up to date")
    options = parser.parse_args(arguments)
    pages = {options.page: sections(options.results)}
    if options.page == PAGE:
        pages |= {page: {name: section(options.results, name, of)} for name, (of, page) in OTHER_PAGES.items()}
    for page, texts in pages.items():
        before = page.read_text(encoding="utf-8")
        after = render(before, texts)
        if after != before and options.check:
            raise SystemExit(f"{page} differs from the records in {options.results}: run python -m benchmarks.report")
        if after != before:
            write_text(page, after)
            print(f"written: {page}")


if __name__ == "__main__":
    main()
