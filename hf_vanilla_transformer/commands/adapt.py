"""Go on training a language model on the text of a domain, and see what it learns there and forgets elsewhere.

PARENT is a folder that train, pretrain or adapt made, or any checkpoint that `hf-vanilla convert` reads. The objective
is the parent's own. Any field of the recipe can be set on the command line by its dotted name; the recipe as run is
saved in the output folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..training.recipes.training_recipe import Recipe
    from ..training.run import TrainingResult

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/reviews
  hf-vanilla adapt runs/base --data.path data/imdb --data.train unsupervised --output runs/imdb \\
      --adaptation.general.path data/brown --adaptation.replay 0.2     one token in five is of general text
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/x --adaptation.l2_sp 10
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/x --adaptation.new_words 1000
  hf-vanilla adapt openai-community/gpt2 --data.path law.txt --output runs/law --data.max_length 512
  hf-vanilla adapt runs/base --data.path reviews.txt --dry-run         says what would be done, and does nothing
  hf-vanilla adapt --resume runs/reviews                               goes on with an interrupted run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument(
        "parent", metavar="PARENT", nargs="?", help="the model that is adapted: a folder, or a Hub name"
    )
    parser.add_argument("--recipe", default="adapt", help="name of a recipe, or a YAML file (default: adapt)")
    parser.add_argument("--resume", metavar="FOLDER", help="go on with the interrupted run in this folder")
    parser.add_argument("--output", metavar="FOLDER", help="output folder (the same as --output.output_dir)")
    parser.add_argument("--dry-run", action="store_true", help="read everything and print the plan, without training")
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], help="set a field (the same as --FIELD VALUE)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Adapts, or prints the plan."""
    if (arguments.parent is None) == (arguments.resume is None):
        raise ValueError("Name the PARENT that is adapted, or the folder of an interrupted run with --resume.")
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    import transformers

    from ..training.adaptation.adaptation_run import run_adaptation

    recipe = _recipe(arguments)
    # One bar for each written file says less than our own lines.
    transformers.utils.logging.disable_progress_bar()
    if arguments.dry_run:
        from ..training.adaptation.adaptation_plan import plan

        print(plan(recipe))
        return 0
    result = run_adaptation(recipe, resume=arguments.resume is not None)
    if result.interrupted:
        return 130
    if result.main_process:
        from .train import command

        model = write_model(result, recipe, command())
        print(_CLOSING.format(folder=result.folder, model=model), file=sys.stderr)
    return 0


_CLOSING = """
{folder}  recipe, scores, perplexity.md and perplexity.png: what was learned and forgotten
{model}  the model with its card, ready to publish; a PARENT for hf-vanilla finetune"""


def write_model(result: TrainingResult, recipe: Recipe, command: str) -> Path:
    """Writes the folder that can be published; its card names the parent, and the data of both."""
    from ..hub.local_paths import strip_path
    from ..hub_names import is_hub_name
    from ..training.adaptation.adaptation_run import PERPLEXITY_PICTURE
    from .train import publishable

    adaptation = recipe.adaptation
    data = f"Adapted to `{strip_path(str(recipe.data.path))}`"
    if adaptation.replay:
        data += f", with {adaptation.replay:.0%} of `{strip_path(str(adaptation.general.path))}` among it"
    data += f". The parent: {result.metrics['adaptation']['lineage']}."
    picture = result.folder / PERPLEXITY_PICTURE
    plots = {"Perplexity of the domain and of general text.": picture} if picture.is_file() else {}
    parent = adaptation.base_model
    if Path(parent).exists():
        parent = Path(parent).resolve().name
    texts = (recipe.data.path, adaptation.general.path if adaptation.replay else None)
    datasets = tuple(dict.fromkeys(path for path in texts if is_hub_name(path)))
    return publishable(result, recipe, command, plots=plots, data=data, base_model=parent, datasets=datasets)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    from ..training.adaptation.language_model import load_adaptation_recipe
    from ..training.recipes.training_recipe import load_recipe
    from .train import dotted_overrides

    overrides = [*arguments.set, *dotted_overrides(arguments.overrides)]
    folder = arguments.resume or arguments.output
    if folder is not None:
        overrides.append(f"output.output_dir={folder}")
    if arguments.resume is not None:
        recipe = load_recipe(arguments.resume, overrides)
        if recipe.adaptation.base_model is None:
            raise ValueError(f"The run in {arguments.resume} is no adaptation; go on with hf-vanilla train --resume.")
        return recipe
    return load_adaptation_recipe(arguments.parent, overrides, arguments.recipe)
