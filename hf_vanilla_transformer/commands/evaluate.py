"""Evaluate a trained model on a test set: BLEU and chrF with sacreBLEU's signatures, loss and perplexity.

FOLDER is the output folder of `hf-vanilla train`, `pretrain` or `adapt`. Its recipe defines the data and the search.
Any field can be set on the command line by its dotted name.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..wording import counted
from .lines import add_precision_argument
from .option_types import path_or_name
from .parser import add_output_option
from .recipe_options import add_set_option

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla evaluate runs/tiny
  hf-vanilla evaluate runs/tiny --split validation --generation.num_beams 1
  hf-vanilla evaluate runs/tiny --data.path data/multi30k --translations out.txt --json --output scores.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument(
        "folder", metavar="FOLDER", type=path_or_name, help="output folder of hf-vanilla train, pretrain or adapt"
    )
    parser.add_argument(
        "--split", choices=["validation", "test"], default="test", help="split to evaluate on (default: %(default)s)"
    )
    add_precision_argument(parser)
    add_output_option(parser, "FILE", "file for the scores (default: standard output)")
    parser.add_argument(
        "--translations",
        metavar="FILE",
        type=path_or_name,
        help="file for the translations, one a line (default: none)",
    )
    parser.add_argument("--json", action="store_true", help="write the scores as one JSON object")
    add_set_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates the model and writes its scores, one a line."""
    from ..files import write_text
    from ..pipelines.model_source import find_model
    from ..training.recipes.training_recipe import load_recipe
    from ..training.run_folder import RECIPE_FILE, RESULTS_FILE, saved_recipe

    for option in ("output", "translations"):
        given = getattr(arguments, option)
        if given is not None and Path(given).is_dir():
            raise ValueError(f"--{option} {given} is a folder: give a file.")
    if not Path(arguments.folder).exists():
        raise FileNotFoundError(f"There is no folder {arguments.folder!r}: give the output folder of a run.")
    folder = Path(find_model(arguments.folder))
    if not (folder / RECIPE_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} has no {RECIPE_FILE}, which says on which data to evaluate: give the output folder of "
            "hf-vanilla train, pretrain or adapt."
        )
    if "base_model" in saved_recipe(folder):
        raise ValueError(
            f"{arguments.folder} is a fine-tuned model. hf-vanilla finetune has evaluated it: its scores are in "
            f"{folder / RESULTS_FILE}. hf-vanilla classify applies it to other texts."
        )
    recipe = load_recipe(folder, [*arguments.set, *arguments.overrides])
    if arguments.translations is not None and recipe.task != "translation":
        raise ValueError(f"--translations is for translation, not for task={recipe.task!r}: leave it out.")

    from ..training.split_scores import score_split

    translations: list[str] = []
    scores = score_split(recipe, folder, arguments.split, precision=arguments.precision, translations=translations)
    if arguments.json:
        text = json.dumps(scores, indent=2) + "\n"
    else:
        text = "".join(
            f"{name:16} {value:.4f}\n" if isinstance(value, float) else f"{name:16} {value}\n"
            for name, value in scores.items()
        )
    if arguments.output is not None:
        write_text(arguments.output, text)
        print(f"{arguments.output}: the scores on the {arguments.split} split", file=sys.stderr)
    else:
        print(text, end="")
    if arguments.translations is not None:
        write_text(arguments.translations, "".join(f"{line}\n" for line in translations))
        print(f"{arguments.translations}: {counted(len(translations), 'translation')}", file=sys.stderr)
    return 0
