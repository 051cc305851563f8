"""Train a language model on running text: the first of the three steps pretrain, adapt, finetune.

The objective decides which stack is trained: `causal` a decoder, `masked` an encoder, `denoising` (BART) and `span`
(T5) an encoder-decoder. Without --recipe a small recipe for the objective is the start; any of its fields can be set
on the command line by its dotted name.
"""

from __future__ import annotations

import argparse

from .train import carry_out, dotted_overrides

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
  hf-vanilla pretrain --objective denoising --data.path data/brown --dry-run     says what would be done
  hf-vanilla pretrain --resume runs/brown                                        goes on with an interrupted run
"""

# The objectives, and the recipe that each starts from.
_RECIPES = {
    "causal": "decoder-small",
    "masked": "encoder-small",
    "denoising": "denoising-small",
    "span": "span-small",
}
_AUTO_CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "masked_lm": "AutoModelForMaskedLM",
    "denoising": "AutoModelForSeq2SeqLM",
    "span": "AutoModelForSeq2SeqLM",
}

_CLOSING = """
{folder}  recipe, curves, scores and checkpoints
{model}  the model with its card, ready to publish

from transformers import {auto_class}, AutoTokenizer
model = {auto_class}.from_pretrained("{model}", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("{model}", trust_remote_code=True)

next: hf-vanilla adapt {folder} ... (text of your domain), or hf-vanilla finetune {folder} --task ... (labels)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument("--objective", choices=list(_RECIPES), help="what is learnt to predict")
    parser.add_argument("--recipe", help="name of a recipe, or a YAML file (default: a small one for the objective)")
    parser.add_argument("--resume", metavar="FOLDER", help="go on with the interrupted run in this folder")
    parser.add_argument("--output", metavar="FOLDER", help="output folder (the same as --output.output_dir)")
    parser.add_argument("--dry-run", action="store_true", help="read the data and print the plan, without training")
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], help="set a field (the same as --FIELD VALUE)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains, or prints the plan."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.objective import OBJECTIVES
    from ..training.recipes.training_recipe import load_recipe

    if arguments.resume and (arguments.recipe or arguments.objective):
        raise ValueError(
            f"--resume {arguments.resume} goes on with that run's recipe; leave --recipe and --objective out."
        )
    if not (arguments.resume or arguments.recipe or arguments.objective):
        raise ValueError(f"Say what to train: --objective {', '.join(OBJECTIVES)}, or a --recipe.")
    overrides = [*arguments.set, *dotted_overrides(arguments.overrides)]
    folder = arguments.resume or arguments.output
    if folder is not None:
        overrides.append(f"output.output_dir={folder}")
    recipe = load_recipe(arguments.resume or arguments.recipe or _RECIPES[arguments.objective], overrides)
    if recipe.task not in OBJECTIVES.values():
        raise ValueError(f"The recipe's task is {recipe.task!r}, which is no language model; use hf-vanilla train.")
    if arguments.objective and recipe.task != OBJECTIVES[arguments.objective]:
        raise ValueError(
            f"--objective {arguments.objective} and task={recipe.task!r} of the recipe are not the same; give one of "
            "them."
        )
    return carry_out(recipe, arguments, _CLOSING.replace("{auto_class}", _AUTO_CLASSES[recipe.task]))
