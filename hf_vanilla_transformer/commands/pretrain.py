"""Pretrain a language model on text: the first of the three steps pretrain, adapt, finetune.

The objective decides which stack is trained: `causal` trains a decoder, `masked` an encoder, `denoising` (BART) and
`span` (T5) an encoder-decoder. Without --recipe, the objective has a small recipe. Any field can be set on the command
line by its dotted name.
"""

from __future__ import annotations

import argparse

from .recipe_options import add_recipe_options, check_resume, overrides_of, print_fields
from .train import train

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla pretrain --objective masked --data.path data/brown --output runs/brown
  hf-vanilla pretrain --objective causal --data.path book.txt --data.hold_out 200 --output runs/book
  hf-vanilla pretrain --objective masked --objective.unit span --data.path data/brown --output runs/spans
  hf-vanilla pretrain --objective causal --data.reverse true --data.path data/brown --output runs/backward
  hf-vanilla pretrain --objective span --data.streaming true --data.path crawl.jsonl.gz --output runs/crawl
  hf-vanilla pretrain --objective causal --output runs/mixed \\
    --data.mixture '[{path: data/brown, weight: 1}, {path: data/reviews.txt, weight: 3}]'

  # print the plan, do not train
  hf-vanilla pretrain --objective denoising --data.path data/brown --dry-run

  # resume an interrupted run (or give the first command again)
  hf-vanilla pretrain --resume runs/brown
"""

# The objectives, and the recipe that each starts from.
_RECIPES = {
    "causal": "decoder-small",
    "masked": "encoder-small",
    "denoising": "denoising-small",
    "span": "span-small",
}

_NEXT_STEPS = """

next: hf-vanilla adapt {folder} ... (text of your domain), or hf-vanilla finetune {folder} --task ... (labels)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument(
        "--objective",
        choices=list(_RECIPES),
        help="what the model learns to predict (required, unless --recipe or --resume is given)",
    )
    add_recipe_options(
        parser,
        recipe_help="a recipe of the package, a YAML file, or the folder of a run (default: a small recipe for the "
        "objective)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Pretrains, or prints the plan or the fields."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.objective import OBJECTIVES
    from ..training.recipes.training_recipe import Recipe, load_recipe

    if arguments.fields:
        print_fields(Recipe)
        return 0
    check_resume(arguments, "--objective")
    if not (arguments.resume or arguments.recipe or arguments.objective):
        raise ValueError(f"Choose what to train: --objective {', '.join(OBJECTIVES)}, or --recipe, or --resume.")
    start = arguments.resume or arguments.recipe or _RECIPES[arguments.objective]
    recipe = load_recipe(start, overrides_of(arguments))
    if recipe.task not in OBJECTIVES.values():
        raise ValueError(
            f"task={recipe.task!r} of the recipe {start} does not train a language model: use hf-vanilla train."
        )
    if arguments.objective and recipe.task != OBJECTIVES[arguments.objective]:
        raise ValueError(
            f"--objective {arguments.objective} contradicts task={recipe.task!r} of the recipe {start}: leave out one."
        )
    return train(recipe, arguments, _NEXT_STEPS)
