"""How the processes of a run were started: the place of this one, and how many were asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from accelerate.commands.config.config_args import default_config_file

# How many levels of parents are searched for a launcher.
_ANCESTORS = 4
# Variables by which accelerate tells its processes how to divide a model, and the name in its configuration.
_DIVIDES = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DEEPSPEED"}


@dataclass(frozen=True)
class Launch:
    """The place of this process among those of its run.

    Attributes:
        rank: its number among all processes.
        world_size: number of all processes.
        local_rank: its number among the processes of this machine.
        local_world_size: number of processes on this machine.
        address: host and port at which the processes meet; None for a single process.
        asked: number of processes that the launcher was asked for; None if no launcher says it.
        divides: by what the launcher was asked to divide the model, such as ``FSDP``; None for not at all.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    address: tuple[str, int] | None = None
    asked: int | None = None
    divides: str | None = None


def this_launch() -> Launch:
    """The launch of this process, by the environment that torchrun and accelerate set.

    Raises:
        ValueError: a variable of the environment is no number.
    """
    world_size = _number("WORLD_SIZE", 1)
    address = None
    if world_size > 1:
        address = (os.environ.get("MASTER_ADDR", "127.0.0.1"), _number("MASTER_PORT", 29500))
    asked, divides = _asked_of_accelerate()
    return Launch(
        rank=_number("RANK", 0),
        world_size=world_size,
        local_rank=_number("LOCAL_RANK", 0),
        local_world_size=_number("LOCAL_WORLD_SIZE", 1),
        address=address,
        asked=asked,
        divides=divides,
    )


def check_launch(launch: Launch | None = None) -> None:
    """Checks that as many processes run as were asked for, and that a recipe decides how they divide the model.

    `accelerate launch --cpu --num_processes 2` starts one process and says nothing. Its run would be another one: half
    of the batch, or twice the time. A file for FSDP means plain DDP on a machine without accelerators, and elsewhere
    accelerate's FSDP fails on the shared embeddings of an encoder-decoder.

    Raises:
        ValueError: the numbers differ, or the launcher was asked to divide the model.
    """
    launch = launch or this_launch()
    if launch.divides is not None:
        number = launch.asked or launch.world_size
        raise ValueError(
            f"accelerate launch was asked for {launch.divides}, which this package does not take from accelerate: the "
            f"recipe decides how processes divide a model. Set distributed.fsdp_size={number} (or tp_size) and start "
            f"plain processes: distributed_type: MULTI_GPU in the file, or torchrun --nproc_per_node {number}."
        )
    if launch.asked is not None and launch.asked != launch.world_size:
        raise ValueError(
            f"accelerate launch was asked for {launch.asked} processes, but {launch.world_size} of them "
            f"{'was' if launch.world_size == 1 else 'were'} started. On CPU, use scripts/accelerate/"
            f"two_processes_cpu.yaml, or torchrun --nproc_per_node {launch.asked} -m "
            "hf_vanilla_transformer.commands.main ..."
        )


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdigit():
        raise ValueError(f"the environment variable {variable} is {text!r}, not a number; torchrun sets it.")
    return int(text)


def _asked_of_accelerate() -> tuple[int | None, str | None]:
    """The number of processes, and the name of a way to divide the model, that `accelerate launch` was asked for.

    From the command line of the one that started this process, and its configuration: accelerate passes the number on
    only to processes that it starts in parallel, and FSDP only where there is an accelerator.
    """
    divides = next((name for variable, name in _DIVIDES.items() if os.environ.get(variable) == "true"), None)
    try:
        for ancestor in psutil.Process().parents()[:_ANCESTORS]:
            words = ancestor.cmdline()
            if "launch" in words and any("accelerate" in word for word in words[: words.index("launch")]):
                processes, in_file = _asked_by(words[words.index("launch") + 1 :])
                return processes, divides or in_file
    except psutil.Error:  # a parent that has ended, or that belongs to another user
        pass
    return None, divides


def _asked_by(options: list[str]) -> tuple[int | None, str | None]:
    """The same for the options of `accelerate launch`, and for its configuration where they say nothing."""
    given = _values(options)
    content: Any = None
    path = Path(given.get("--config_file") or given.get("--config-file") or default_config_file)
    if path.is_file():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content = content if isinstance(content, dict) else {}
    processes = content.get("num_processes")
    for name in ("--num_processes", "--num-processes"):
        if given.get(name, "").isdigit():
            processes = int(given[name])
    divides = content.get("distributed_type")
    return (
        processes if isinstance(processes, int) else None,
        divides if divides in _DIVIDES.values() else None,
    )


def _values(options: list[str]) -> dict[str, str]:
    """The values of options, written as two words or with an equals sign."""
    values = {}
    for option, following in zip(options, [*options[1:], ""]):
        name, equals, value = option.partition("=")
        values.setdefault(name, value if equals else following)
    return values
