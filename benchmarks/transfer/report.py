"""`python -m benchmarks.transfer.report`: writes the tables of docs/transfer.md from the files in benchmarks/results.

All figures of the page come from files that benchmarks wrote. `--check` fails if the page and the files differ. Runs
with `--quick` write to other files.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from ..records import RESULTS, read_json, write_text
from ..report import MISSING, render, where
from . import (
    ablation,
    bag_of_words,
    forgetting,
    label_efficiency,
    new_user,
    published_encoder,
    shakespeare,
    tagging_parsing,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "transfer.md"
# Part of the page: its file, the module that makes its table, and whether it has a plot.
PARTS: dict[str, tuple[str, Any, bool]] = {
    "imdb": ("label_efficiency_imdb-causal", label_efficiency, True),
    "nsmc": ("label_efficiency_nsmc-causal", label_efficiency, True),
    "bag_of_words": ("transfer_bag_of_words", bag_of_words, True),
    "ablation": ("transfer_ablation", ablation, False),
    "forgetting": ("transfer_forgetting", forgetting, True),
    "published_encoder": ("transfer_published_encoder", published_encoder, False),
    "words": ("transfer_words", tagging_parsing, False),
    "shakespeare": ("transfer_shakespeare", shakespeare, False),
    "new_user": ("transfer_new_user", new_user, False),
}


def sections(results: Path, images: Path | None = None) -> dict[str, str]:
    """The text of each part of the page, by its name.

    Args:
        results: folder of the records.
        images: folder to which the plots are copied; None copies none.
    """
    texts = {}
    for name, (file, module, has_plot) in PARTS.items():
        if not (results / f"{file}.json").is_file():
            texts[name] = MISSING
            continue
        record = read_json(results / f"{file}.json")
        precision = record.get("setting", {}).get("backbone", {}).get("precision", "fp32")
        note = "" if precision == "fp32" else f" Trained in {precision} (autocast; weights in float32)."
        bag = results / f"{PARTS['bag_of_words'][0]}.json"
        shown = record
        if module is label_efficiency and bag.is_file():
            shown = label_efficiency.with_bag_of_words(record, read_json(bag))
        texts[name] = f"{where(record)}{note}\n\n{module.table(shown)}"
        plot = results / f"{file}.png"
        if has_plot and plot.is_file():
            texts[name] += f"\n\n![{name}](images/{file}.png)"
            if images is not None:
                images.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(plot, images / plot.name)
    return texts


def main(arguments: list[str] | None = None) -> None:
    """Renders or checks the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--check", action="store_true", help="only check that the page is up to date")
    options = parser.parse_args(arguments)
    before = options.page.read_text(encoding="utf-8")
    after = render(before, sections(options.results, None if options.check else options.page.parent / "images"))
    if options.check and after != before:
        raise SystemExit(
            f"{options.page} differs from the records in {options.results}: run python -m benchmarks.transfer.report"
        )
    if after != before:
        write_text(options.page, after)
        print(f"written: {options.page}")


if __name__ == "__main__":
    main()
