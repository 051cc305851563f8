"""What the commands that run a recipe have in common: their options, fields on the command line, and how they end."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..wording import did_you_mean
from .option_types import path_or_name
from .parser import add_output_option

_FIELD = re.compile(r"--[A-Za-z_]\w*(?:\.\w+)+")
_OPTION = re.compile(r"--[A-Za-z]")
# The class that loads the final model of a task.
AUTO_CLASSES = {
    "translation": "AutoModelForSeq2SeqLM",
    "causal_lm": "AutoModelForCausalLM",
    "masked_lm": "AutoModelForMaskedLM",
    "denoising": "AutoModelForSeq2SeqLM",
    "span": "AutoModelForSeq2SeqLM",
}


class Result(Protocol):
    """The result of a run, as far as a command needs it."""

    folder: Path
    interrupted: bool
    signal: int | None
    main_process: bool


def add_recipe_options(parser: argparse.ArgumentParser, *, recipe_help: str) -> None:
    """Adds the options that train, pretrain, adapt and finetune share."""
    parser.add_argument("--recipe", metavar="NAME", type=path_or_name, help=recipe_help)
    parser.add_argument(
        "--resume", metavar="FOLDER", type=path_or_name, help="resume the interrupted run in this folder"
    )
    parser.add_argument(
        "--resume-if-exists",
        action="store_true",
        help="resume the run in the output folder if there is one, else begin it; a finished run is left as it is",
    )
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="resume although the data or settings of the training have changed",
    )
    add_output_option(parser, "FOLDER", "new folder for the run (the same as --output.output_dir)")
    parser.add_argument("--fields", action="store_true", help="list every field with its default, then exit")
    parser.add_argument("--dry-run", action="store_true", help="read the data and print the plan, without training")
    add_set_option(parser)


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--set FIELD=VALUE`."""
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], help="set a field (the same as --FIELD VALUE)"
    )


def split_fields(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates fields of a recipe (`--section.field VALUE`) from the other arguments of a command.

    argparse would take the value of an option that it does not know for a positional argument.

    Returns:
        The other arguments, and the fields as `section.field=VALUE`.

    Raises:
        ValueError: a field has no value.
    """
    others: list[str] = []
    fields: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, separator, value = argument.partition("=")
        if argument == "--" or not _FIELD.fullmatch(name):
            others.append(argument)
            continue
        if not separator:
            value = next(waiting, None)
            if value is None or _OPTION.match(value):
                raise ValueError(f"{name} needs a value. Write {name}=VALUE for a value that begins with two dashes.")
        fields.append(f"{name[2:]}={value}")
    return others, fields


def check_no_rest(command: str, rest: Sequence[str], options: Sequence[str] = ()) -> None:
    """Raises ValueError for arguments that are neither options nor fields, and names the nearest.

    Args:
        command: name of the command, which decides what its fields are.
        rest: the arguments that are left.
        options: of the command.
    """
    if not rest:
        return
    name, hint = rest[0].partition("=")[0], ""
    if name.startswith("--"):
        from ..training.recipes.reading import fields_of

        fields = [field for field, _ in fields_of(_recipe_class(command))]
        leaf = name.removeprefix("--").replace("-", "_")
        of_this_name = [
            f"--{field}" if "." in field else f"--set {field}=VALUE"
            for field in fields
            if field.rpartition(".")[2] == leaf
        ]
        hint = (
            f"Did you mean {of_this_name[0]}? "
            if of_this_name
            else did_you_mean(name, [option for option in options if option.startswith("--")])
        )
    raise ValueError(
        f"{rest[0]!r} is not understood. {hint}Fields of the recipe are set by --section.field VALUE, such as "
        "--training.max_steps 100; --fields lists them, --help lists the options."
    )


def _recipe_class(command: str) -> type:
    """The recipe whose fields a command takes."""
    if command == "finetune":
        from ..training.recipes.finetuning_recipe import FinetuneRecipe

        return FinetuneRecipe
    from ..training.recipes.training_recipe import Recipe

    return Recipe


def overrides_of(arguments: argparse.Namespace, **values: str | None) -> list[str]:
    """The overrides of a recipe that a command line contains, in the order in which they apply.

    Args:
        arguments: of a command with the options of `add_recipe_options`.
        values: more fields, such as `task`; None is not set.
    """
    values["output.output_dir"] = arguments.resume or arguments.output
    given = [f"{name}={value}" for name, value in values.items() if value is not None]
    return [*arguments.set, *arguments.overrides, *given]


def check_resume(arguments: argparse.Namespace, *names: str) -> None:
    """Checks the options beside `--resume`, which must not change the saved recipe or the folder, and the folder.

    Args:
        arguments: of the command.
        names: more options (`--task`) and positional arguments (`BASE_MODEL`) that have no place beside `--resume`.

    Raises:
        FileNotFoundError: there is no run in the folder.
        ValueError: an option has no place beside `--resume`, or the run is that of another command.
    """
    if arguments.resume is None:
        return
    for name in ("--recipe", "--output", *names):
        if getattr(arguments, name.removeprefix("--").replace("-", "_").lower()) is not None:
            raise ValueError(f"--resume {arguments.resume} continues the run in that folder: leave out {name}.")
    from ..training.run_folder import check_resumed_by

    check_resumed_by(arguments.command, arguments.resume)


def check_paths(recipe: Any, arguments: argparse.Namespace, base_model: str | None = None) -> None:
    """Checks the paths of a recipe as far as this is possible without torch, which takes seconds to import.

    The run checks them again, and asks the Hub for what is not here.

    Args:
        recipe: the recipe.
        arguments: of the command.
        base_model: as it was given; None if there is none, or one that is no model of transformers.

    Raises:
        FileNotFoundError: there is no such data or base model, and it is no name on the Hub.
        ValueError: the output folder holds other files, the base model is damaged, or a recipe names no text.
    """
    from ..hub_names import check_hub_name
    from ..pipelines.model_source import find_model
    from ..training.recipes.text_sections import check_path_is_set
    from ..training.run_folder import RECIPE_FILE, check_place

    folder = arguments.resume or recipe.output.output_dir
    if folder is not None and (Path(folder) / RECIPE_FILE).is_file():
        return  # whether the run that is there goes on, and what it still needs, is decided with its checkpoints
    # The other processes of a run may come here when the first one already writes.
    if folder is not None and not arguments.dry_run and os.environ.get("RANK", "0") == "0":
        check_place(Path(folder))
    if base_model is not None:
        find_model(base_model, "BASE_MODEL")
    if not getattr(recipe.data, "mixture", []):
        check_path_is_set(recipe.data.path, recipe.task)
    for field, path in _data_paths(recipe):
        if not Path(path).expanduser().exists():
            check_hub_name(path, field)


def _data_paths(recipe: Any) -> list[tuple[str, str]]:
    """The sources of a recipe, each with the name of its field."""
    paths = [("data.path", recipe.data.path)]
    paths += [("data.mixture", source.get("path")) for source in getattr(recipe.data, "mixture", [])]
    return [(field, path) for field, path in paths if isinstance(path, str)]


def print_fields(kind: type) -> None:
    """Lists the fields of a recipe."""
    from ..training.recipes.field_list import field_list

    print(field_list(kind))


def plan_or_run(
    arguments: argparse.Namespace,
    recipe: Any,
    *,
    plan: Callable[[Any], str],
    run: Callable[..., Result],
    closing: Callable[[Any], str],
) -> int:
    """Prints the plan of a recipe, or runs it and prints where the results are.

    Args:
        arguments: of the command.
        recipe: the recipe.
        plan: describes the run without training.
        run: trains; called with the recipe, `resume` and the `command` as it was typed.
        closing: the last words on the screen, given the result.

    Returns:
        The exit status; for an interrupted run 128 and the number of the signal: 130 for Ctrl-C, 143 for SIGTERM.
    """
    import transformers

    from ..training.run_folder import RunFinished

    # Our own lines of progress replace one bar for each written file.
    transformers.utils.logging.disable_progress_bar()
    if arguments.dry_run:
        print(plan(recipe))
        return 0
    try:
        result = run(
            recipe, resume=_resume(arguments), accept_changes=arguments.accept_changes, command=typed_command()
        )
    except RunFinished as finished:  # as after a kill between the last file and the end of the process
        print(finished, file=sys.stderr)
        return 0
    if result.interrupted:
        return 128 + (result.signal or signal.SIGINT)
    if result.main_process:
        print(closing(result), file=sys.stderr)
    return 0


def _resume(arguments: argparse.Namespace) -> bool | str:
    """What to do with a run in the output folder; see `hf_vanilla_transformer.training.run_folder.Resume`."""
    if arguments.resume is not None:
        return True
    return "if_exists" if arguments.resume_if_exists or arguments.accept_changes else False


def closing_text(folder: Path, contents: str, model: Path, use: str = "") -> str:
    """The last words of a run: what its folders contain, and how the model is used."""
    lines = ["", f"{folder}  {contents}", f"{model}  the model with its card, ready to publish"]
    return "\n".join([*lines, *(["", use] if use else [])])


def loading_code(model: Path, task: str) -> str:
    """Python code that loads the final model of a task, and its tokenizer."""
    auto_class = AUTO_CLASSES[task]
    return (
        f"from transformers import {auto_class}, AutoTokenizer\n"
        f'model = {auto_class}.from_pretrained("{model}", trust_remote_code=True)\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{model}", trust_remote_code=True)'
    )


def typed_command() -> str:
    """This command as it was typed, for the card of the model."""
    return shlex.join(["hf-vanilla", *sys.argv[1:]])
