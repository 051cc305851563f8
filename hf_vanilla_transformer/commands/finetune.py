"""Fine-tune PARENT for a task: a new head on a trained body.

PARENT is a folder that a run made, or any checkpoint that `hf-vanilla convert` reads. The task is one of classification
(one label for a text or a pair, several labels, a number), token_classification, dependency_parsing,
question_answering, multiple_choice and sequence_to_sequence (summaries, translation). Every field of the recipe can be
set by its dotted name; --fields lists them.
"""

from __future__ import annotations

import argparse
import shlex
import sys

from .train import dotted_overrides

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/sentiment
  hf-vanilla finetune runs/adapted --task classification --data.path data/nli --data.text premise \\
      --data.text_pair hypothesis --data.label label --output runs/nli
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/sentiment \\
      --head.pooling concat --unfreezing.mode gradual --rates.layerwise_lr_decay 2.6    the whole of ULMFiT's third step
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/probe \\
      --backbone.train frozen                                            what the parent knows already
  hf-vanilla finetune runs/adapted --task classification --data.path reviews.csv --output runs/sentiment \\
      --comparison.start '[before, scratch]'                         and what each step before was worth
  hf-vanilla finetune google-bert/bert-base-uncased --task question_answering --data.path squad --output runs/qa
  hf-vanilla finetune runs/adapted --recipe my-recipe.yaml --dry-run         says what would be done, and does nothing
  hf-vanilla finetune --resume runs/sentiment                        goes on with an interrupted run
  hf-vanilla finetune --fields                                       every field of the recipe, with its default
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    parser.add_argument("parent", nargs="?", metavar="PARENT", help="the model to start from")
    parser.add_argument("--task", help="what to learn (the same as --set task=...)")
    parser.add_argument("--recipe", help="a YAML file, or the folder of an earlier fine-tuning")
    parser.add_argument("--resume", metavar="FOLDER", help="go on with the interrupted run in this folder")
    parser.add_argument("--output", metavar="FOLDER", help="output folder (the same as --output.output_dir)")
    parser.add_argument("--fields", action="store_true", help="list every field of the recipe with its default")
    parser.add_argument("--dry-run", action="store_true", help="read the data and print the plan, without training")
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], help="set a field (the same as --FIELD VALUE)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Fine-tunes, or prints what was asked for."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.field_list import field_list
    from ..training.recipes.finetuning_recipe import FinetuneRecipe, load_finetune_recipe

    if arguments.fields:
        print(field_list(FinetuneRecipe))
        return 0
    if arguments.resume is not None and arguments.recipe is not None:
        raise ValueError("--resume takes the recipe of its folder; leave --recipe out.")
    if arguments.resume is None and arguments.parent is None and arguments.recipe is None:
        raise ValueError("Say what to start from: hf-vanilla finetune PARENT --task ... (see --help).")
    overrides = [*arguments.set, *dotted_overrides(arguments.overrides)]
    for name, value in (("base_model", arguments.parent), ("task", arguments.task)):
        if value is not None:
            overrides.append(f"{name}={value}")
    folder = arguments.resume or arguments.output
    if folder is not None:
        overrides.append(f"output.output_dir={folder}")
    recipe = load_finetune_recipe(arguments.resume or arguments.recipe, overrides)

    import transformers

    # One bar for each written file says less than our own lines.
    transformers.utils.logging.disable_progress_bar()
    if arguments.dry_run:
        from ..training.finetuning.finetuning_plan import plan

        print(plan(recipe))
        return 0
    from ..training.finetuning.finetuning_run import run_finetuning

    command = shlex.join(["hf-vanilla", *sys.argv[1:]])
    result = run_finetuning(recipe, resume=arguments.resume is not None, command=command)
    if result.interrupted:
        return 130
    if result.main_process:
        print(closing(result), file=sys.stderr)
    return 0


def closing(result) -> str:
    """Where everything is, and how the model is used."""
    model = result.folder / "model"
    use = {
        "classification": f'pipeline("text-classification", model="{model}")("...")',
        "token_classification": f'pipeline("token-classification", model="{model}")("...")',
        "dependency_parsing": f'pipeline("dependency-parsing", model="{model}")("...")',
        "question_answering": f'pipeline("question-answering", model="{model}")(question="...", context="...")',
        "sequence_to_sequence": f'pipeline("text2text-generation", model="{model}")("...")',
    }.get(result.metrics["run"]["task"])
    lines = [
        "",
        f"{result.folder}  recipe, curves, scores, predictions and what was trainable when",
        f"{model}  the model with its card, ready to publish",
    ]
    if use is not None:
        lines += ["", "import hf_vanilla_transformer", "from transformers import pipeline", f"print({use})"]
    return "\n".join(lines)
