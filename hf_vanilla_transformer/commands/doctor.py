"""Examine what a run needs before it starts: versions, devices, processes, network, folder and memory.

Started as a training is started, it examines all its processes together: whether they meet, have the same versions, see
the same folder, and add up numbers correctly, and how fast. Each finding is ok, a warning or a problem, with a remedy.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .glibc_allocator import OPT_OUT, SETTINGS, needs_restart
from .option_types import number, path_or_name, whole_number
from .parser import add_output_option

if TYPE_CHECKING:
    from ..training.doctor import Finding

EXAMPLES = """\
examples:
  hf-vanilla doctor
  hf-vanilla doctor --output runs/base --recipe wmt14-en-de-base

  # two processes on this machine, started as the training will be
  torchrun --nproc_per_node 2 -m hf_vanilla_transformer.commands.main doctor --output runs/base

  # two machines; the same line on both, with --node_rank 1 on the second
  torchrun --nnodes 2 --node_rank 0 --nproc_per_node 1 --master_addr 10.0.0.1 --master_port 29500 \\
    -m hf_vanilla_transformer.commands.main doctor --output /shared/runs/base --processes 2

exit status:
  0    no problem, perhaps warnings
  1    a problem was found
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, the number of processes and the recipe of the run to come."""
    add_output_option(parser, "FOLDER", "output folder of the run to come (default: the current folder)")
    parser.add_argument(
        "--processes",
        type=whole_number(at_least=1),
        metavar="N",
        help="number of processes that should run (default: what accelerate launch was asked for)",
    )
    parser.add_argument(
        "--recipe", type=path_or_name, help="recipe of a training, to estimate its memory; its data is read"
    )
    parser.add_argument(
        "--timeout",
        type=number(above=0),
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for other processes (default: %(default)g)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; the exit status is 1 if there is a problem."""
    from ..training.recipes.training_recipe import load_recipe

    recipe = None if arguments.recipe is None else load_recipe(arguments.recipe, [])

    from ..training.doctor import Status, examine, findings_table
    from ..training.launch import this_launch

    folder = Path(arguments.output or ".")
    findings = examine(folder, processes=arguments.processes, recipe=recipe, timeout=arguments.timeout)
    findings.append(_examine_allocator())
    has_problem = any(finding.status is Status.PROBLEM for finding in findings)
    met = any(finding.subject == "all-reduce" for finding in findings)
    if this_launch().rank == 0 or not met:
        print(findings_table(findings))
    return int(has_problem)


def _examine_allocator() -> Finding:
    """How memory is allocated by the commands that run a model."""
    from ..training.doctor.finding import ok, warning

    if all(os.environ.get(name) == value for name, value in SETTINGS.items()):
        return ok("allocator", "tuned for training on CPU")
    if needs_restart(dict(os.environ)):
        return ok("allocator", "commands that run a model restart themselves with tuned settings")
    text = "the environment keeps the allocator as it is; training on CPU may be slower"
    variables = [name for name in (OPT_OUT, "LD_PRELOAD", *SETTINGS) if name in os.environ]
    if not variables:  # not Linux with glibc, where the settings mean nothing
        return ok("allocator", "of the system")
    return warning("allocator", text, f"unset {' '.join(variables)}, if that was not meant")
