"""The section `distributed` of a recipe: how processes divide batches, weights and matrix products."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
from dataclasses import dataclass

from huggingface_hub.dataclasses import strict

from .bounds import Number, bounded
from .sections import TrainingSection


@strict
@dataclass
class DistributedRecipe:
    """The layout of the processes, with the names of transformers' `DistributedConfig`.

    Without this section every process has a copy of the model and trains on different batches (DDP).
    """

    fsdp_size: int = bounded(1, at_least=1)
    """Processes that divide weights, gradients and optimizer state, and train on different batches (FSDP2, which is
    ZeRO-3); 1 to not divide them."""
    tp_size: int = bounded(1, at_least=1)
    """Processes that divide the matrices of every layer by heads and columns, and train on the same batch (tensor
    parallelism); 1 to not divide them. It must divide the attention heads. They have neighbouring ranks, so that they
    are on one machine."""
    dp_replicate_size: int | None = bounded(None, at_least=1)
    """Copies of the model that train on different batches; with `fsdp_size` this is HSDP. null is what the other sizes
    leave of the processes."""
    pp_size: int = bounded(1, at_least=1)
    """Pipeline stages. Only 1 is possible: transformers' stages give the decoder wrong logits."""
    timeout_minutes: Number = bounded(10, above=0)
    """A process that waits longer than this for another one ends the run, and names the processes that it waited
    for. Rank 0 saves checkpoints while the others wait."""

    @property
    def sharded(self) -> bool:
        """Whether the weights of a model are divided among processes."""
        return self.fsdp_size > 1 or self.tp_size > 1


def problems_of_distributed(distributed: DistributedRecipe, training: TrainingSection) -> list[str]:
    """Contradictions between the layout and other sections, each as a sentence with the remedy."""
    problems = []
    if distributed.pp_size > 1:
        problems.append(
            f"distributed.pp_size={distributed.pp_size}: pipeline stages are not supported, because transformers' "
            "stages give the decoder wrong logits. Set it to 1 and divide by distributed.fsdp_size or "
            "distributed.tp_size."
        )
    if not distributed.sharded:
        return problems
    sizes = f"distributed.fsdp_size={distributed.fsdp_size} with distributed.tp_size={distributed.tp_size}"
    if getattr(training, "torch_compile", False):
        problems.append(f"training.torch_compile=true was never tried with {sizes}: set it to false.")
    if training.precision == "fp16":
        problems.append(
            f"training.precision='fp16' scales the loss, which {sizes} does not support: set it to bf16 or fp32."
        )
    return problems


def problem_of_processes(distributed: DistributedRecipe, processes: int) -> str | None:
    """Why a layout does not fit the number of processes, with the arithmetic and the remedy; None if it does.

    Args:
        distributed: the layout.
        processes: number of all training processes.
    """
    divided = distributed.fsdp_size * distributed.tp_size
    given = f"distributed.fsdp_size={distributed.fsdp_size} * distributed.tp_size={distributed.tp_size}"
    replicas = distributed.dp_replicate_size
    if replicas is None and processes % divided == 0:
        return None
    if replicas is not None:
        given = f"distributed.dp_replicate_size={replicas} * {given}"
    wanted = divided * (replicas or 1)
    if processes == wanted:
        return None
    start = f"torchrun --nproc_per_node {wanted} -m hf_vanilla_transformer.commands.main ..."
    if processes == 1:
        return f"{given} needs {wanted} processes, but this is a single one: start it with {start}"
    rest = (
        f" and {processes} / {divided} = {processes / divided:.2f} leaves no whole copies" if replicas is None else ""
    )
    return f"{given} is {wanted}, but {processes} processes run{rest}: change the sizes, or start {start}"


def data_parallel_size(distributed: DistributedRecipe, processes: int) -> int:
    """The number of processes, or groups of them, that train on different batches."""
    return processes // distributed.tp_size


__all__ = ["DistributedRecipe", "data_parallel_size", "problem_of_processes", "problems_of_distributed"]
