"""How the processes of a run were started: the place of this one, and how many were asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from accelerate.commands.config.config_args import default_config_file

# How many levels of parents are searched for a launcher.
_ANCESTORS = 4


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
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    address: tuple[str, int] | None = None
    asked: int | None = None


def this_launch() -> Launch:
    """The launch of this process, by the environment that torchrun and accelerate set.

    Raises:
        ValueError: a variable of the environment is no number.
    """
    world_size = _number("WORLD_SIZE", 1)
    address = None
    if world_size > 1:
        address = (os.environ.get("MASTER_ADDR", "127.0.0.1"), _number("MASTER_PORT", 29500))
    return Launch(
        rank=_number("RANK", 0),
        world_size=world_size,
        local_rank=_number("LOCAL_RANK", 0),
        local_world_size=_number("LOCAL_WORLD_SIZE", 1),
        address=address,
        asked=_asked_of_accelerate(),
    )


def check_launch(launch: Launch | None = None) -> None:
    """Checks that as many processes run as were asked for.

    `accelerate launch --cpu --num_processes 2` starts one process and says nothing. Its run would be another one: half
    of the batch, or twice the time.

    Raises:
        ValueError: the numbers differ.
    """
    launch = launch or this_launch()
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


def _asked_of_accelerate() -> int | None:
    """The number of processes in the command line of an `accelerate launch` that started this process, or in its file.

    accelerate passes it on only to processes that it starts in parallel.
    """
    try:
        for ancestor in psutil.Process().parents()[:_ANCESTORS]:
            words = ancestor.cmdline()
            if "launch" in words and any("accelerate" in word for word in words[: words.index("launch")]):
                return _processes(words[words.index("launch") + 1 :])
    except psutil.Error:  # a parent that has ended, or that belongs to another user
        pass
    return None


def _processes(options: list[str]) -> int | None:
    """The number of processes in the options of `accelerate launch`, else in its configuration."""
    given = _values(options)
    for name in ("--num_processes", "--num-processes"):
        if given.get(name, "").isdigit():
            return int(given[name])
    path = Path(given.get("--config_file") or given.get("--config-file") or default_config_file)
    if not path.is_file():
        return None
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    asked = content.get("num_processes") if isinstance(content, dict) else None
    return asked if isinstance(asked, int) else None


def _values(options: list[str]) -> dict[str, str]:
    """The values of options, written as two words or with an equals sign."""
    values = {}
    for option, following in zip(options, [*options[1:], ""]):
        name, equals, value = option.partition("=")
        values.setdefault(name, value if equals else following)
    return values
