"""Train a model by a recipe.

A recipe is a YAML file, or the name of one that comes with the package. Any of its fields can be set on the command
line by its dotted name. The recipe as run is saved in the output folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.recipes.training_recipe import Recipe
    from ..training.run import TrainingResult

TAKES_OVERRIDES = True

EXAMPLES = """\
examples:
  hf-vanilla train --recipe multi30k-en-de-tiny --output runs/tiny
  hf-vanilla train --recipe multi30k-en-de-tiny --output runs/tiny --data.path data/multi30k_tok
  hf-vanilla train --recipe my-recipe.yaml --output runs/x --training.learning_rate 1e-3 --model.config.dropout 0.1
  hf-vanilla train --recipe wmt14-en-de-base --dry-run        says what would be done, and does nothing
  hf-vanilla train --resume runs/tiny                         goes on with an interrupted run
  hf-vanilla train --list                                     the recipes that come with the package
  hf-vanilla train --fields                                   every field of a recipe, with its default
  accelerate launch --num_processes 2 -m hf_vanilla_transformer.commands.main train --recipe ...
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of the recipe."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--recipe", help="name of a recipe, or a YAML file")
    what.add_argument("--resume", metavar="FOLDER", help="go on with the interrupted run in this folder")
    what.add_argument("--list", action="store_true", help="list the recipes that come with the package")
    what.add_argument("--fields", action="store_true", help="list every field of a recipe with its default")
    parser.add_argument("--output", metavar="FOLDER", help="output folder (the same as --output.output_dir)")
    parser.add_argument("--dry-run", action="store_true", help="read the data and print the plan, without training")
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], help="set a field (the same as --FIELD VALUE)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains, or prints what was asked for."""
    # Imported here, so that `--help` and the restart with another allocator do not wait for torch.
    from ..training.recipes.field_list import field_list
    from ..training.recipes.reading import recipe_names
    from ..training.recipes.training_recipe import Recipe, load_recipe

    if arguments.list:
        for name in recipe_names():
            print(f"{name:28} {' '.join(load_recipe(name).description.split())}")
        return 0
    if arguments.fields:
        print(field_list(Recipe))
        return 0
    overrides = [*arguments.set, *dotted_overrides(arguments.overrides)]
    folder = arguments.resume or arguments.output
    if folder is not None:
        overrides.append(f"output.output_dir={folder}")
    recipe = load_recipe(arguments.resume or arguments.recipe, overrides)
    return carry_out(recipe, arguments, _CLOSING)


def carry_out(recipe: Recipe, arguments: argparse.Namespace, closing: str) -> int:
    """Trains by a recipe, or prints the plan; returns the exit status.

    Args:
        recipe: what to do.
        arguments: says whether it is a `dry_run`, and whether to `resume`.
        closing: the last words on the screen; `{folder}` and `{model}` in it are filled in.
    """
    import transformers

    from ..training.run import run_training

    if arguments.dry_run:
        from ..training.plan import plan

        print(plan(recipe))
        return 0
    # One bar for each written file says less than our own lines.
    transformers.utils.logging.disable_progress_bar()
    result = run_training(recipe, resume=arguments.resume is not None)
    if result.interrupted:
        return 130
    if result.main_process:
        print(closing.format(folder=result.folder, model=publishable(result, recipe, command())), file=sys.stderr)
    return 0


_CLOSING = """
{folder}  recipe, curves, scores and checkpoints
{model}  the model with its card, ready to publish

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer   # or the Auto class of your task
model = AutoModelForSeq2SeqLM.from_pretrained("{model}", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("{model}", trust_remote_code=True)"""


def command() -> str:
    """This command as it was typed, for the card."""
    return shlex.join(["hf-vanilla", *sys.argv[1:]])


def publishable(
    result: TrainingResult, recipe: Recipe, command: str, *, plots: dict[str, Path] | None = None, **said: Any
) -> Path:
    """Writes the folder that can be published: weights, code, tokenizer, card and curves.

    Args:
        plots: more pictures for the card, caption to file.
        said: fields of the card's text that the recipe alone does not tell.
    """
    from ..hub import export_folder
    from ..hub.card_text import card_text_of_recipe
    from ..training.folder import CURVES_FILE, METRICS_FILE

    card = card_text_of_recipe(
        recipe.to_dict(), result.folder.name, tested="test_loss" in result.metrics, run_ended=True
    )
    card = dataclasses.replace(card, command=command, **said)
    course = result.folder / METRICS_FILE
    curves = result.folder / CURVES_FILE
    pictures = {"Training and validation.": curves} if curves.is_file() else {}
    return export_folder(
        result.model,
        result.tokenizer,
        result.folder / "model",
        card=card,
        recipe=recipe,
        metrics=result.metrics,
        plots={**pictures, **(plots or {})},
        files=[course] if course.is_file() else [],
        overwrite=True,
    )


def dotted_overrides(arguments: list[str]) -> list[str]:
    """``--a.b 1 --c.d=2`` as ``["a.b=1", "c.d=2"]``.

    Raises:
        ValueError: something else is left on the command line.
    """
    overrides = []
    waiting: str | None = None
    for argument in arguments:
        is_field = argument.startswith("--") and "." in argument.partition("=")[0]
        if waiting is not None and not is_field:
            overrides.append(f"{waiting}={argument}")
            waiting = None
        elif is_field and waiting is None:
            if "=" in argument:
                overrides.append(argument[2:])
            else:
                waiting = argument[2:]
        else:
            raise ValueError(
                f"{waiting or argument!r} is not understood: fields of the recipe are set by --section.field "
                "VALUE, such as --training.max_steps 100; see hf-vanilla train --help and --fields."
            )
    if waiting is not None:
        raise ValueError(f"--{waiting} needs a value.")
    return overrides
