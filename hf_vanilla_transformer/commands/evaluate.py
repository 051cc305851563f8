"""Score a trained model on a test set: BLEU and chrF with sacreBLEU's signatures, loss and perplexity.

The folder is one that `hf-vanilla train` made; its recipe says which data and which search. Both can be overridden.
"""

from __future__ import annotations

import argparse
import json

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla evaluate runs/tiny
  hf-vanilla evaluate runs/tiny --split validation --generation.num_beams 1
  hf-vanilla evaluate runs/tiny --data.path data/multi30k --translations out.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument("folder", help="folder of a trained model, with its recipe.yaml")
    parser.add_argument("--split", choices=["validation", "test"], default="test", help="which split (default: test)")
    parser.add_argument("--translations", metavar="FILE", help="also write the translations, one a line")
    parser.add_argument("--json", metavar="FILE", help="also write the scores as JSON")
    parser.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], help="set a field of the recipe")


def run(arguments: argparse.Namespace) -> int:
    """Scores the model and prints one line a score."""
    from ..files import write_text
    from ..training.recipes.training_recipe import load_recipe
    from ..training.split_scores import score_split
    from .train import dotted_overrides

    recipe = load_recipe(arguments.folder, [*arguments.set, *dotted_overrides(arguments.overrides)])
    translations: list[str] = []
    scores = score_split(recipe, arguments.folder, arguments.split, translations=translations)
    for name, value in scores.items():
        print(f"{name:16} {value:.4f}" if isinstance(value, float) else f"{name:16} {value}")
    if arguments.translations is not None:
        write_text(arguments.translations, "".join(f"{line}\n" for line in translations))
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(scores, indent=2) + "\n")
    return 0
