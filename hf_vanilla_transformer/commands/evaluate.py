"""Evaluate a trained model on a test set: BLEU and chrF with sacreBLEU's signatures, loss and perplexity.

FOLDER is the output folder of `hf-vanilla train`. Its recipe defines the data and the search; any field can be set on
the command line by its dotted name.
"""

from __future__ import annotations

import argparse
import json

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
    parser.add_argument("folder", metavar="FOLDER", help="folder of a trained model, with its recipe.yaml")
    parser.add_argument(
        "--split", choices=["validation", "test"], default="test", help="split to evaluate on (default: %(default)s)"
    )
    parser.add_argument("--translations", metavar="FILE", help="file for the translations, one a line")
    parser.add_argument("--output", metavar="FILE", help="file for the scores (default: standard output)")
    parser.add_argument("--json", action="store_true", help="write the scores as one JSON object")
    add_set_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates the model and writes its scores, one a line."""
    from ..files import write_text
    from ..pipelines.loading import check_model_source
    from ..training.recipes.training_recipe import load_recipe
    from ..training.split_scores import score_split

    check_model_source(arguments.folder)
    recipe = load_recipe(arguments.folder, [*arguments.set, *arguments.overrides])
    translations: list[str] = []
    scores = score_split(recipe, arguments.folder, arguments.split, translations=translations)
    if arguments.json:
        text = json.dumps(scores, indent=2) + "\n"
    else:
        text = "".join(
            f"{name:16} {value:.4f}\n" if isinstance(value, float) else f"{name:16} {value}\n"
            for name, value in scores.items()
        )
    if arguments.output is not None:
        write_text(arguments.output, text)
    else:
        print(text, end="")
    if arguments.translations is not None:
        write_text(arguments.translations, "".join(f"{line}\n" for line in translations))
    return 0
