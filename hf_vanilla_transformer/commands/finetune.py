"""Fine-tune BASE_MODEL for a task: a new head on a trained backbone.

BASE_MODEL is the folder of a run, or any checkpoint that `hf-vanilla convert` reads. The task is one of classification
(one label for a text or a pair, several labels, a number), token_classification, dependency_parsing,
question_answering, multiple_choice and sequence_to_sequence (summaries, translation). Any field of the recipe can be
set on the command line by its dotted name; --fields lists them.
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
    from ..training.finetuning.finetuning_run import FinetuneResult

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/sentiment
  hf-vanilla finetune runs/adapted --task classification --data.path data/nli --data.text premise \\
      --data.text_pair hypothesis --data.label label --output runs/nli
  hf-vanilla finetune google-bert/bert-base-uncased --task question_answering --data.path squad --output runs/qa

  # all techniques of ULMFiT
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/ulmfit \\
      --head.pooling concat --unfreezing.mode gradual --rates.layerwise_lr_decay 2.6

  # probe what the base model knows
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/probe \\
      --backbone.train frozen

  # measure what each step before contributed
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/gains \\
      --comparison.start '[bag_of_words, before, scratch]'

  # print the plan, do not train
  hf-vanilla finetune runs/adapted --recipe my-recipe.yaml --dry-run

  # resume an interrupted run (or give the first command again)
  hf-vanilla finetune --resume runs/sentiment
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument(
        "base_model",
        metavar="BASE_MODEL",
        nargs="?",
        type=path_or_name,
        help="the model to fine-tune: a folder or a Hub name (required, unless --recipe or --resume is given)",
    )
    parser.add_argument(
        "--task", metavar="TASK", help="what the model learns, one of the list above (default: classification)"
    )
    add_recipe_options(parser, recipe_help="a YAML file, or the folder of an earlier fine-tuning")


def run(arguments: argparse.Namespace) -> int:
    """Fine-tunes, or prints the plan or the fields."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.finetuning_recipe import FinetuneRecipe, load_finetune_recipe

    if arguments.fields:
        print_fields(FinetuneRecipe)
        return 0
    check_resume(arguments, "BASE_MODEL", "--task")
    if arguments.resume is None and arguments.base_model is None and arguments.recipe is None:
        raise ValueError("Name the model to fine-tune: hf-vanilla finetune BASE_MODEL --task ...; see --help.")
    overrides = overrides_of(arguments, base_model=arguments.base_model, task=arguments.task)
    recipe = load_finetune_recipe(arguments.resume or arguments.recipe, overrides)
    check_paths(recipe, arguments, recipe.base_model if recipe.base_model_format == "transformers" else None)

    from ..training.finetuning.finetuning_plan import plan
    from ..training.finetuning.finetuning_run import run_finetuning

    return plan_or_run(arguments, recipe, plan=plan, run=run_finetuning, closing=_closing)


def _closing(result: FinetuneResult) -> str:
    model = result.folder / "model"
    call = {
        "classification": f'pipeline("text-classification", model="{model}")("...")',
        "token_classification": f'pipeline("token-classification", model="{model}")("...")',
        "dependency_parsing": f'pipeline("dependency-parsing", model="{model}")("...")',
        "question_answering": f'pipeline("question-answering", model="{model}")(question="...", context="...")',
        "sequence_to_sequence": f'pipeline("text2text-generation", model="{model}")("...")',
    }.get(result.metrics["run"]["task"])
    use = "" if call is None else f"import hf_vanilla_transformer\nfrom transformers import pipeline\nprint({call})"
    contents = "recipe, curves, scores, predictions and the layers that were trained in each update"
    return closing_text(result.folder, contents, model, use)
