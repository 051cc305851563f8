"""Continue pretraining a language model on the text of a domain, and measure what it learns and forgets.

BASE_MODEL is the folder of a run of train, pretrain or adapt, or any checkpoint that `hf-vanilla convert` reads. The
objective is that of the base model. Any field of the recipe can be set on the command line by its dotted name. The
complete recipe is saved in the output folder.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .option_types import path_or_name
from .recipe_options import (
    add_recipe_options,
    check_paths,
    check_resume,
    closing_text,
    overrides_of,
    plan_or_run,
    print_fields,
)

if TYPE_CHECKING:
    from ..training.recipes.training_recipe import Recipe
    from ..training.run import TrainingResult

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/reviews
  hf-vanilla adapt runs/base --data.path data/imdb --data.train unsupervised --output runs/imdb \\
      --adaptation.general.path data/brown
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/x --adaptation.l2_sp 10
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/x --adaptation.new_words 1000
  hf-vanilla adapt openai-community/gpt2 --data.path law.txt --output runs/law --data.max_length 512

  # one training token in five is general text
  hf-vanilla adapt runs/base --data.path reviews.txt --output runs/replay \\
      --adaptation.general.path data/brown --adaptation.replay 0.2

  # print the plan, do not train
  hf-vanilla adapt runs/base --data.path reviews.txt --dry-run

  # resume an interrupted run (or give the first command again)
  hf-vanilla adapt --resume runs/reviews
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument(
        "base_model",
        metavar="BASE_MODEL",
        nargs="?",
        type=path_or_name,
        help="the model to adapt: a folder or a Hub name (required, unless --resume is given)",
    )
    add_recipe_options(
        parser, recipe_help="a recipe of the package, a YAML file, or the folder of a run (default: adapt)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Adapts, or prints the plan or the fields."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.adaptation_recipe import DEFAULT_RECIPE
    from ..training.recipes.reading import read_recipe
    from ..training.recipes.training_recipe import Recipe
    from ..training.run_folder import MODEL_FOLDER

    if arguments.fields:
        print_fields(Recipe)
        return 0
    check_resume(arguments, "BASE_MODEL")
    if arguments.base_model is None and arguments.resume is None:
        raise ValueError("Name the BASE_MODEL to adapt, or the folder of an interrupted run with --resume.")
    if arguments.resume is None:
        recipe = read_recipe(Recipe, arguments.recipe or DEFAULT_RECIPE, overrides_of(arguments))
        check_paths(recipe, arguments, arguments.base_model)

    from ..training.adaptation.adaptation_plan import plan
    from ..training.adaptation.adaptation_run import run_adaptation

    recipe = _recipe(arguments)

    def closing(result: TrainingResult) -> str:
        contents = "recipe, scores, perplexity.md and perplexity.png: what the model learned and forgot"
        return closing_text(
            result.folder,
            contents,
            result.folder / MODEL_FOLDER,
            f"next: hf-vanilla finetune {result.folder} --task ...",
        )

    return plan_or_run(arguments, recipe, plan=plan, run=run_adaptation, closing=closing)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    from ..training.adaptation.language_model import load_adaptation_recipe
    from ..training.recipes.adaptation_recipe import DEFAULT_RECIPE
    from ..training.recipes.training_recipe import load_recipe

    overrides = overrides_of(arguments)
    if arguments.resume is None:
        return load_adaptation_recipe(arguments.base_model, overrides, arguments.recipe or DEFAULT_RECIPE)
    return load_recipe(arguments.resume, overrides)
