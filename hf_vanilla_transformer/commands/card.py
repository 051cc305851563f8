"""Write the card of a model folder to a file of its own, its curves beside it, without publishing anything.

It is the card that `hf-vanilla publish` would write: from card.yaml or the recipe, results.json and the model itself.
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
    """Which model, and where the card goes."""
    parser.add_argument("folder", help="folder of a model: of hf-vanilla train, demo, convert, average")
    parser.add_argument("output", metavar="FILE", help="the card to write; pictures go beside it, under its name")
    parser.add_argument("--name", help="of the model, as the card shows it (default: the name of FILE)")
    add_card_arguments(parser)


def add_card_arguments(parser: argparse.ArgumentParser) -> None:
    """What only the maker of a model knows."""
    parser.add_argument(
        "--license", metavar="ID", help=f"of the weights, as the Hub names it (apache-2.0, cc-by-4.0); {_NONE} for none"
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="what the card says: summary, example, data, test_data, limitations, hardware, date, languages=en,de, ...",
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
    """What the card says: what the folder knows, the name, the licence, and the changes of the command line.

    Raises:
        ValueError: no licence was given and nobody is there to be asked, or a change that is none.
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
            "The licence of the weights is not known, and it is not guessed: give --license ID, such as apache-2.0 or "
            f"cc-by-4.0 (https://huggingface.co/docs/hub/repositories-licenses), or --license {_NONE} to state none."
        )
    answer = input(f"Licence of the weights (such as apache-2.0, cc-by-4.0; {_NONE} to state none): ").strip().lower()
    return answer or _NONE
