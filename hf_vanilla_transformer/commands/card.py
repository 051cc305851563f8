"""Write the card of a model folder to a file, with its pictures beside it, without publishing anything.

The card is that of `hf-vanilla publish`. It is generated from card.yaml or the recipe, results.json and the model.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..hub import ModelCardText

EXAMPLES = """\
examples:
  hf-vanilla card runs/tiny model_cards/multi30k-en-de-tiny.md --license cc-by-4.0
  hf-vanilla card runs/tiny model_cards/tiny.md --license none --set date=2026-11-21 --set hardware="2 CPU cores"
"""
_NONE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds model folder, output file and options of the card."""
    parser.add_argument("folder", help="model folder: output of hf-vanilla train, demo, convert or average")
    parser.add_argument("output", metavar="FILE", help="the card to write; its pictures are written beside it")
    parser.add_argument("--name", help="title of the card (default: the name of FILE)")
    add_card_arguments(parser)


def add_card_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options for card fields that only the author knows."""
    parser.add_argument(
        "--license",
        metavar="ID",
        help=f"license of the weights, by the Hub's identifier (apache-2.0, cc-by-4.0); {_NONE} for none",
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="set a field: summary, example, data, test_data, limitations, hardware, date, languages=en,de, ...",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the card."""
    from pathlib import Path

    import transformers

    from ..hub import read_card_text, read_publication

    name = arguments.name or Path(arguments.output).stem
    text = card_text(read_card_text(arguments.folder), name, arguments.license, arguments.set)
    transformers.utils.logging.disable_progress_bar()
    publication = read_publication(arguments.folder)
    path = publication.write_card(arguments.output, text)
    print(f"{path}: the card of {arguments.folder}, with {len(publication.plots)} pictures beside it")
    return 0


def card_text(text: ModelCardText, name: str, license: str | None, changes: list[str]) -> ModelCardText:
    """The card content of a folder with name, license and the changes of the command line.

    Raises:
        ValueError: the license is unknown and there is no terminal to ask at, or a change is invalid.
    """
    import dataclasses

    from ..hub.card_text import changed_card_text

    text = changed_card_text(dataclasses.replace(text, name=name), changes)
    if license is None and text.license is None:
        license = _ask_license()
    if license is not None:
        text = dataclasses.replace(text, license=None if license == _NONE else license)
    return text


def _ask_license() -> str:
    if not sys.stdin.isatty():
        raise ValueError(
            "The license of the weights is unknown: give --license ID, such as apache-2.0 or "
            f"cc-by-4.0 (https://huggingface.co/docs/hub/repositories-licenses), or --license {_NONE} to state none."
        )
    answer = input(f"License of the weights (such as apache-2.0, cc-by-4.0; {_NONE} to state none): ").strip().lower()
    return answer or _NONE
