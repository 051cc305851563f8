"""All examinations, in the order in which a run would need them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import torch
import torch.distributed as dist

from ..collators import collator
from ..launch import Launch, this_launch
from ..memory import size
from ..plan import token_memory
from ..recipes.training_recipe import Recipe
from ..training_run import TrainingRun
from . import group
from .finding import Finding, Status, ok, problem
from .machine import examine_device, examine_folder, examine_memory, examine_versions
from .network import examine_address, examine_interfaces, examine_launch

# A run with less than this share of the available memory left may be killed by the system.
_RESERVE = 0.9


def examine(
    folder: Path, *, processes: int | None = None, recipe: Recipe | None = None, timeout: float = 60.0
) -> list[Finding]:
    """Examines this process and, if it was started as one of several, all of them together.

    Args:
        folder: the output folder of the run to come.
        processes: number of processes that should run; None for what the launcher was asked for.
        recipe: of a training, to estimate its memory; its data is read.
        timeout: seconds to wait for the other processes.

    Returns:
        The findings of all processes in the first one, and of this process in the others. Findings that several
        processes share appear once.
    """
    launch = this_launch()
    findings = examine_versions()
    findings.append(examine_launch(launch, processes))
    findings += examine_device(launch.local_rank, launch.local_world_size)
    findings += [examine_memory(), examine_folder(folder)]
    if recipe is not None:
        findings.append(examine_recipe(recipe, launch))
    if launch.world_size == 1:
        return findings
    findings += [examine_interfaces(), examine_address(launch)]
    if findings[-1].status is Status.PROBLEM:
        return findings
    findings.append(group.meet(launch, timeout))
    if findings[-1].status is Status.PROBLEM:
        return findings
    try:
        together = [*group.examine_agreement(), group.examine_shared_folder(folder), group.examine_reduction()]
        return [*shared(group.gathered(findings)), *together]
    finally:
        dist.destroy_process_group()


def shared(by_process: list[list[Finding]]) -> list[Finding]:
    """The findings of all processes: one that all of them made once, others with their process.

    Args:
        by_process: the findings of each process, in the order of their numbers.
    """
    result: list[Finding] = []
    for rank, findings in enumerate(by_process):
        for finding in findings:
            if all(finding in others for others in by_process):
                if rank == 0:
                    result.append(finding)
            else:
                result.append(replace(finding, rank=rank))
    subjects = list(dict.fromkeys(finding.subject for finding in result))
    return sorted(result, key=lambda finding: subjects.index(finding.subject))


def examine_recipe(recipe: Recipe, launch: Launch) -> Finding:
    """The memory that a training needs in each process, beside what the machine has."""
    run = TrainingRun.prepare(recipe, Path())
    needed = token_memory(recipe, run.model, run.train_rows, collator(recipe, run.tokenizer))
    text = f"{needed} in each process"
    if torch.accelerator.is_available():
        available = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    else:
        available = psutil.virtual_memory().available // launch.local_world_size
    if available is not None and needed.total > _RESERVE * available:
        remedy = "lower training.tokens_per_batch, or set training.gradient_checkpointing true"
        return problem("recipe", f"{text}, but it has {size(available)}", remedy)
    return ok("recipe", text if available is None else f"{text}, which has {size(available)}")
