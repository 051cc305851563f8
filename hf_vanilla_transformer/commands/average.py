"""Average the weights of the last checkpoints of a run (section 6.1 of the paper) into a new model folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from .option_types import path_or_name, whole_number
from .parser import add_output_option, required_output

EXAMPLES = """\
examples:
  hf-vanilla average runs/base --last 5 --output runs/base-averaged
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The checkpoints, and the folder of the result."""
    parser.add_argument(
        "folder", metavar="FOLDER", type=path_or_name, help="output folder of a run that kept checkpoints"
    )
    parser.add_argument(
        "--last",
        type=whole_number(at_least=1),
        default=5,
        metavar="N",
        help="number of checkpoints (default: %(default)s)",
    )
    add_output_option(parser, "FOLDER", "new folder for the averaged model (required)")


def run(arguments: argparse.Namespace) -> int:
    """Writes the averaged model."""
    from ..training.run_folder import RECIPE_FILE, RESULTS_FILE, check_new
    from ..untrusted_files import read_yaml_text

    output = Path(required_output(arguments, "the new folder"))
    if not (output / "config.json").is_file() or (output / RESULTS_FILE).exists():
        check_new(output)
    if not Path(arguments.folder).is_dir():
        raise FileNotFoundError(f"There is no folder {arguments.folder}: give the output folder of a run.")

    from transformers.utils import logging as transformers_logging

    from ..conversion.model_files import check_model_files
    from ..conversion.safe_loading import check_untrusted_folder
    from ..training.checkpoints import last_checkpoints, save_average

    chosen = last_checkpoints(arguments.folder, arguments.last)
    for checkpoint in chosen:
        if (checkpoint / "config.json").is_file():  # an adapter has none
            check_untrusted_folder(checkpoint)
            check_model_files(checkpoint)
    recipe = Path(arguments.folder) / RECIPE_FILE
    transformers_logging.disable_progress_bar()
    save_average(
        chosen,
        output,
        recipe=read_yaml_text(recipe) if recipe.is_file() else None,
        occupied=f"The output folder {output} holds another model; choose another with --output.",
    )
    print(f"{output}: average of {', '.join(path.name for path in chosen)}")
    return 0
