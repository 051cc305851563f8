"""A model whose weights are divided among processes: by torch's FSDP2, transformers' tensor parallelism, or both.

Training works on the divided model. Everything else (evaluation, checkpoints, the final model) works on a whole copy in
the memory of each process, into which the weights are gathered. A checkpoint is therefore the same, whatever the layout
that wrote it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.placement_types import _StridedShard
from transformers import PreTrainedModel
from transformers.distributed import DistributedConfig
from transformers.distributed.tensor_parallel import apply_tensor_parallelism
from transformers.modeling_layers import GradientCheckpointingLayer

from .recipes.distributed_recipe import DistributedRecipe, data_parallel_size

# Names of the dimensions of the processes: copies of the model, FSDP2, tensor parallelism.
_MESH = ("replica", "shard", "tensor")
AnyOptimizer = TypeVar("AnyOptimizer", bound=torch.optim.Optimizer)


class ShardedModel:
    """A model that is divided among processes, and its whole copy.

    All methods are called by all processes.

    Args:
        whole: the model with its weights, equal on all processes. It is kept on the CPU as the whole copy.
        layout: of the processes.
        device: of this process.

    Attributes:
        model: divided among the processes; the same class and parameter names as `whole`.
        whole: with the weights of the last `gather`.

    Raises:
        ValueError: the model cannot be divided in this layout.
    """

    def __init__(self, whole: PreTrainedModel, layout: DistributedRecipe, device: torch.device) -> None:
        check_divisible(whole, layout)
        self.whole = whole.cpu()
        self.model = _divided(whole, layout, device)
        trained = {name: parameter.requires_grad for name, parameter in whole.named_parameters()}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(trained[name])

    @torch.no_grad()
    def gather(self) -> None:
        """Copies the weights of the divided model into the whole one."""
        divided = dict(self.model.named_parameters())
        for name, parameter in self.whole.named_parameters():
            parameter.copy_(whole_tensor(divided[name]))

    @torch.no_grad()
    def scatter(self) -> None:
        """Copies the weights of the whole model into the divided one."""
        given = dict(self.whole.named_parameters())
        for name, parameter in self.model.named_parameters():
            parameter.copy_(like(given[name].detach(), parameter))

    @contextmanager
    def gathered(self, device: torch.device) -> Iterator[PreTrainedModel]:
        """The whole model with the current weights, on `device` within the context."""
        self.gather()
        try:
            yield self.whole.to(device)
        finally:
            self.whole.cpu()


def _divided(whole: PreTrainedModel, layout: DistributedRecipe, device: torch.device) -> PreTrainedModel:
    """A copy whose matrices are divided by tensor parallelism, and whose layers are then divided by FSDP2.

    `from_pretrained(distributed_config=...)` of transformers 5.23 divides a tied head apart from the embeddings; a
    masked language model then keeps the first weights of its head. Here both are in the part of the rest.
    """
    replicas = data_parallel_size(layout, dist.get_world_size()) // layout.fsdp_size
    mesh = init_device_mesh(device.type, (replicas, layout.fsdp_size, layout.tp_size), mesh_dim_names=_MESH)
    if layout.tp_size > 1 and layout.fsdp_size > 1:
        mesh["shard", "tensor"]._flatten("shard_tensor")  # sums over both, such as the norm of the gradient, are one
    model = copy.deepcopy(whole).to(device)
    if layout.tp_size > 1:
        names = {parameter: name for name, parameter in model.named_parameters()}
        tied = {name: names[parameter] for name, parameter in model.named_parameters(remove_duplicate=False)}
        apply_tensor_parallelism(model, mesh["tensor"], _tensor_parallel_plan(model))
        for name, first in tied.items():  # the other names of a tied parameter
            module, _, own = name.rpartition(".")
            setattr(model.get_submodule(module), own, model.get_parameter(first))
    if replicas * layout.fsdp_size > 1:
        part = mesh["replica", "shard"] if replicas > 1 else mesh["shard"]
        for module in model.modules():
            if isinstance(module, GradientCheckpointingLayer):
                fully_shard(module, mesh=part)
        fully_shard(model, mesh=part)
        model._is_fsdp_managed_module = True
    # Trainer knows by these that the model is divided, wraps it in nothing else, and counts each batch once.
    model.config.distributed_config = DistributedConfig(
        tp_size=layout.tp_size, fsdp_size=layout.fsdp_size, dp_replicate_size=replicas
    )
    model._is_distributed_loading_by_transformers = True
    model._tp_size = layout.tp_size
    return model


def _tensor_parallel_plan(model: PreTrainedModel) -> dict[str, str]:
    """The styles of the modules, and of their own parameters before them, by their names in the model.

    A tied parameter has only its first name.
    """
    parameters, plan = dict(model.named_parameters()), {}
    for name, module in model.named_modules():
        style = model.tp_plan.get(re.sub(r"\.\d+\.", ".*.", name))
        if style is not None:
            own = (f"{name}.{parameter}" for parameter, _ in module.named_parameters(recurse=False))
            plan |= {parameter: style for parameter in own if parameter in parameters}
            plan[name] = style
    return plan


def check_divisible(model: PreTrainedModel, layout: DistributedRecipe) -> None:
    """Raises ValueError, with the arithmetic, for a model that cannot be divided in a layout."""
    if not isinstance(model, PreTrainedModel):
        raise ValueError(
            f"{type(model).__name__} has adapters, which are not divided among processes: set distributed.fsdp_size "
            "and distributed.tp_size to 1 (DDP), or train without LoRA."
        )
    size = layout.tp_size
    if size == 1:
        return
    if not model.tp_plan:
        raise ValueError(f"{type(model).__name__} has no plan for tensor parallelism: set distributed.tp_size to 1.")
    config = model.config
    names = ("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "intermediate_size")
    divided = {name: getattr(config, name) for name in names if isinstance(getattr(config, name, None), int)}
    for name, number in divided.items():
        if number % size:
            possible = [str(one) for one in range(1, number + 1) if number % one == 0]
            raise ValueError(
                f"distributed.tp_size={size} does not divide {name}={number} of the model: {number} / {size} = "
                f"{number / size:.2f}. Set it to one of {', '.join(possible[:8])}."
            )


def whole_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """The whole tensor on every process; an ordinary tensor is whole already."""
    if not isinstance(tensor, DTensor):
        return tensor
    for dimension in range(tensor.device_mesh.ndim - 1):  # one by one: torch warns of those that it cannot join
        tensor = tensor.redistribute(placements=[*[Replicate()] * (dimension + 1), *tensor.placements[dimension + 1 :]])
    return tensor.full_tensor()


def like(tensor: torch.Tensor, example: torch.Tensor) -> torch.Tensor:
    """A whole tensor, equal on all processes, divided like `example`; on its device."""
    tensor = tensor.to(example.device)
    if not isinstance(example, DTensor):
        return tensor
    part = tensor.detach()
    mesh = example.device_mesh
    # FSDP2 divides what tensor parallelism left to a process, so the last dimension of the mesh comes first.
    for dimension in reversed(range(mesh.ndim)):
        placement = example.placements[dimension]
        if placement.is_shard() or isinstance(placement, _StridedShard):
            parts = part.chunk(mesh.size(dimension), placement.dim)
            number = mesh.get_local_rank(dimension)
            part = parts[number] if number < len(parts) else part.narrow(placement.dim, 0, 0)
    return DTensor.from_local(
        # A copy: a part may be a view of what it was cut from, and then change with it.
        part.clone(memory_format=torch.contiguous_format),
        mesh,
        example.placements,
        run_check=False,
        shape=example.shape,
        stride=example.stride(),
    )


def is_sharded(parameters: Any) -> bool:
    """Whether any of the tensors is divided among processes."""
    return any(isinstance(parameter, DTensor) for parameter in parameters)


# ---- The state of an optimizer


def whole_state(state: Any) -> Any:
    """The state of an optimizer or of an average with whole tensors on the CPU; nested dictionaries and lists stay."""
    if isinstance(state, torch.Tensor):
        return whole_tensor(state).detach().cpu()
    if isinstance(state, dict):
        return {name: whole_state(value) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(whole_state(value) for value in state)
    return state


def loads_whole_state(optimizer: AnyOptimizer) -> AnyOptimizer:
    """The optimizer, which from now on loads the result of `whole_state`, whatever layout wrote it.

    Its parameters keep their kernel, which depends on the layout too.
    """
    optimizer.register_load_state_dict_pre_hook(_divided_state)
    return optimizer


def _divided_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state with every tensor of the shape of its parameter divided like the parameter."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    of = dict(zip(numbers, parameters))  # if their numbers differ, `load_state_dict` says so
    entries = {
        number: {name: _divided_entry(value, of.get(number)) for name, value in entry.items()}
        for number, entry in state["state"].items()
    }
    kernel = {name: optimizer.defaults[name] for name in ("fused", "foreach") if name in optimizer.defaults}
    return {"state": entries, "param_groups": [{**group, **kernel} for group in state["param_groups"]]}


def _divided_entry(value: Any, parameter: torch.Tensor | None) -> Any:
    if isinstance(value, torch.Tensor) and isinstance(parameter, DTensor) and value.shape == parameter.shape:
        return like(value, parameter)
    return value


__all__ = ["ShardedModel", "check_divisible", "is_sharded", "like", "loads_whole_state", "whole_state", "whole_tensor"]
