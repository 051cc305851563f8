"""Write the card of a model folder to a file, with its pictures beside it, without publishing anything.

The card is that of `hf-vanilla publish`. It is generated from card.yaml or the recipe, results.json and the model.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..model_folders import model_folder
from ..wording import counted
from .option_types import path_or_name, plain_text
from .parser import add_output_option, required_output

if TYPE_CHECKING:
    from ..hub import ModelCardText

MODEL_FOLDER_HELP = "folder of a model: the output of any command that trains, converts or averages"

EXAMPLES = """\
examples:
  hf-vanilla card runs/tiny --output model_cards/multi30k-en-de-tiny.md --license cc-by-4.0
  hf-vanilla card runs/tiny --output tiny.md --license none --set date=2026-11-21 --set hardware="2 CPU cores"
"""
# The output was a positional argument before.
OUTPUT_BY_PLACE = True
_NONE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds model folder, output file and options of the card."""
    parser.add_argument("folder", metavar="FOLDER", type=path_or_name, help=MODEL_FOLDER_HELP)
    add_output_option(parser, "FILE", "the card to write (required); its pictures are written beside it")
    parser.add_argument(
        "--name", metavar="TITLE", type=plain_text, help="title of the card (default: the name of the file)"
    )
    add_card_arguments(parser)


def add_card_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options for card fields that only the author knows."""
    parser.add_argument(
        "--license",
        metavar="ID",
        help="license of the weights, by the Hub's identifier (apache-2.0, cc-by-4.0); other for one without, with "
        f"--set license_name=NAME --set license_link=URL; {_NONE} for none",
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        type=plain_text,
        action="append",
        default=[],
        help="set a field: summary, example, data, test_data, limitations, hardware, date, languages=en,de, ...",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the card."""
    from pathlib import Path

    from ..conversion.config_values import saved_config

    output = required_output(arguments, "the file of the card")
    name = arguments.name or Path(output).stem
    folder = model_folder(arguments.folder)
    saved_config(folder)

    import transformers

    from ..hub import read_card_text, read_publication

    text = card_text(read_card_text(folder), name, arguments.license, arguments.set)
    transformers.utils.logging.disable_progress_bar()
    publication = read_publication(folder)
    path = publication.write_card(output, text)
    print(f"{path}: the card of {folder}, with {counted(len(publication.plots), 'picture')} beside it")
    return 0


def card_text(text: ModelCardText, name: str, license: str | None, changes: list[str]) -> ModelCardText:
    """The card content of a folder with name, license and the changes of the command line.

    Raises:
        ValueError: the license is unknown and there is no terminal to ask at, it is none that the Hub knows, or a
            change is invalid.
    """
    import dataclasses

    from ..hub.card_text import changed_card_text
    from ..hub.licenses import check_license

    text = changed_card_text(dataclasses.replace(text, name=name), changes)
    if any(change.startswith("license=") for change in changes) and text.license is not None:
        text = dataclasses.replace(text, license=check_license(text.license))
    if license is None and text.license is None:
        license = _ask_license()
    if license is not None:
        text = dataclasses.replace(text, license=None if license == _NONE else check_license(license))
    return text


def _ask_license() -> str:
    if not sys.stdin.isatty():
        raise ValueError(
            "The license of the weights is unknown: give --license ID, such as apache-2.0 or "
            f"cc-by-4.0 (https://huggingface.co/docs/hub/repositories-licenses), or --license {_NONE} to state none."
        )
    answer = input(f"License of the weights (such as apache-2.0, cc-by-4.0; {_NONE} to state none): ").strip().lower()
    return answer or _NONE
