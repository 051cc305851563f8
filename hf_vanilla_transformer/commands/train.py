"""Train a model with a recipe.

A recipe is a YAML file, or the name of a recipe of the package. Any of its fields can be set on the command line by its
dotted name. The complete recipe is saved in the output folder.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .recipe_options import (
    add_recipe_options,
    check_paths,
    check_resume,
    closing_text,
    loading_code,
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
  hf-vanilla train --recipe multi30k-en-de-tiny --output runs/tiny
  hf-vanilla train --recipe multi30k-en-de-tiny --output runs/tiny --data.path data/multi30k_tok
  hf-vanilla train --recipe my-recipe.yaml --output runs/x --training.learning_rate 1e-3 --model.config.dropout 0.1

  # a quick look at the plan, without training
  hf-vanilla train --recipe wmt14-en-de-base --dry-run

  # resume an interrupted run (or give the first command again)
  hf-vanilla train --resume runs/tiny

  # list the recipes of the package, and every field of a recipe
  hf-vanilla train --list
  hf-vanilla train --fields

  # train with two processes
  accelerate launch --num_processes 2 -m hf_vanilla_transformer.commands.main train \\
    --recipe multi30k-en-de-tiny --output runs/tiny
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    add_recipe_options(parser, recipe_help="a recipe of the package (see --list), a YAML file, or the folder of a run")
    parser.add_argument("--list", action="store_true", help="list the recipes of the package, then exit")


def run(arguments: argparse.Namespace) -> int:
    """Trains, or prints the plan, the recipes or the fields."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.reading import recipe_names
    from ..training.recipes.training_recipe import Recipe, load_recipe

    if arguments.list:
        for name in recipe_names():
            print(f"{name:28} {' '.join(load_recipe(name).description.split())}")
        return 0
    if arguments.fields:
        print_fields(Recipe)
        return 0
    check_resume(arguments)
    if arguments.resume is None and arguments.recipe is None:
        raise ValueError("Choose a recipe: --recipe NAME (--list lists the names), or --resume FOLDER.")
    return train(load_recipe(arguments.resume or arguments.recipe, overrides_of(arguments)), arguments)


def train(recipe: Recipe, arguments: argparse.Namespace, next_steps: str = "") -> int:
    """Trains with a recipe, or prints the plan; returns the exit status.

    Args:
        recipe: the recipe.
        arguments: of the command, with `dry_run` and `resume`.
        next_steps: the last line on the screen; `{folder}` in it is replaced by the folder of the run.
    """
    from ..training.run_folder import MODEL_FOLDER

    check_paths(recipe, arguments)

    from ..training.training_plan import plan
    from ..training.training_run import run_training

    def closing(result: TrainingResult) -> str:
        model = result.folder / MODEL_FOLDER
        use = loading_code(model, recipe.task) + next_steps.format(folder=result.folder)
        return closing_text(result.folder, "recipe, curves, scores and checkpoints", model, use)

    return plan_or_run(arguments, recipe, plan=plan, run=run_training, closing=closing)
