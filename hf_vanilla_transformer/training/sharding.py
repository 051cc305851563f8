"""A model whose weights are divided among processes: by torch's FSDP2, or by transformers' tensor parallelism.

Training works on the divided model. Everything else (evaluation, checkpoints, the final model) works on a whole copy in
the memory of each process, into which the weights are gathered. A checkpoint is therefore the same, whatever the layout
that wrote it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel
from transformers.distributed import DistributedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from .recipes.distributed_recipe import DistributedRecipe

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
        self.model = _fully_sharded(whole, layout, device) if layout.fsdp_size > 1 else _tensor_parallel(whole, layout)
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


def _fully_sharded(whole: PreTrainedModel, layout: DistributedRecipe, device: torch.device) -> PreTrainedModel:
    """A copy whose layers, and the rest of the model, are divided by FSDP2.

    `from_pretrained(distributed_config=...)` of transformers 5.23 divides a tied head apart from the embeddings; a
    masked language model then keeps the first weights of its head. Here both are in the part of the rest.
    """
    model = copy.deepcopy(whole).to(device)
    mesh = init_device_mesh(device.type, (layout.fsdp_size,), mesh_dim_names=("fsdp",))
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    # Trainer knows by these that the model is divided, and wraps it in nothing else.
    model.config.distributed_config = DistributedConfig(fsdp_size=layout.fsdp_size)
    model._is_distributed_loading_by_transformers = True
    model._is_fsdp_managed_module = True
    return model


def _tensor_parallel(whole: PreTrainedModel, layout: DistributedRecipe) -> PreTrainedModel:
    """A copy whose matrices are divided by transformers' tensor parallelism."""
    model = type(whole).from_pretrained(
        None,
        config=whole.config,
        # Copies: a part may be a view of what it was cut from, and then change with it.
        state_dict={name: tensor.clone() for name, tensor in whole.state_dict().items()},
        distributed_config=DistributedConfig(tp_size=layout.tp_size),
        attn_implementation=whole.config._attn_implementation,
        trust_remote_code=False,
    )
    if whole.can_generate():
        model.generation_config = whole.generation_config
    return model


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
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, example: torch.Tensor) -> torch.Tensor:
    """A whole tensor, equal on all processes, divided like `example`; on its device."""
    tensor = tensor.to(example.device)
    if not isinstance(example, DTensor):
        return tensor
    # Without a source rank, every process takes its part of its own copy and nothing is sent.
    return distribute_tensor(tensor, example.device_mesh, example.placements, src_data_rank=None)


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
    optimizer.register_load_state_dict_pre_hook(_divided)
    return optimizer


def _divided(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
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
