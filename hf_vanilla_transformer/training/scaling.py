"""Memory and communication of a training from formulas, by stack and layout; `docs/scaling.md` uses them.

They count what is exact: weights, gradients, Adam's moments, and the bytes that each process sends in an update.
Activations depend on the batch; `hf_vanilla_transformer.training.memory` measures them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

Layout = Literal["DDP", "FSDP2", "TP"]

# float32: the weight, its gradient and two moments of Adam.
_BYTES = 4
_COPIES = 4


@dataclass(frozen=True)
class ScalingEstimate:
    """The cost of a layout for one process.

    Attributes:
        parameters: of the whole model.
        state_bytes: weights, gradients and moments of Adam that the process keeps.
        sent_bytes: bytes that it sends in an update.
    """

    parameters: int
    state_bytes: int
    sent_bytes: int


def scaling_estimate(model: nn.Module, layout: Layout, processes: int, tokens: int = 0) -> ScalingEstimate:
    """The cost of training a model in a layout.

    With rings, a process sends (n - 1)/n of a tensor to gather or to scatter it, and twice that to add it up.
    DDP adds up the gradients. FSDP2 gathers the weights for the forward and for the backward pass and scatters the
    gradients (Rajbhandari et al. 2020, section 7: 1.5 times the communication of DDP). Tensor parallelism adds up the
    output of every sublayer in the forward pass and the gradient of its input in the backward pass (Shoeybi et al.
    2019, section 3), and the embeddings once.

    Args:
        model: on any device, also `meta`.
        layout: of the processes.
        processes: that divide the model or the batch.
        tokens: of a batch that one process sees (source and target), for tensor parallelism.

    Returns:
        The cost in float32.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes.values())
    ring = (processes - 1) / processes
    if layout == "DDP":
        return ScalingEstimate(total, _COPIES * _BYTES * total, round(2 * ring * _BYTES * total))
    if layout == "FSDP2":
        return ScalingEstimate(total, _COPIES * _BYTES * total // processes, round(3 * ring * _BYTES * total))
    divided = sum(size for name, size in sizes.items() if _divided_by_tensor_parallelism(name))
    kept = total - divided + divided // processes
    sublayers = sum(name.endswith((".o_proj.weight", ".fc2.weight")) for name in sizes)
    width = model.config.hidden_size
    return ScalingEstimate(
        total,
        _COPIES * _BYTES * kept,
        round(2 * ring * _BYTES * tokens * width * (2 * sublayers + 1)),
    )


def _divided_by_tensor_parallelism(name: str) -> bool:
    """Whether the plans of our models divide a parameter: matrices of layers, their inner biases, the embeddings."""
    module, _, kind = name.rpartition(".")
    last = module.rpartition(".")[2]
    if last in ("q_proj", "k_proj", "v_proj", "fc1"):
        return True
    return kind == "weight" and last in ("o_proj", "fc2", "embed_tokens", "lm_head")


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """The bytes of weights, gradients and moments that this process keeps, measured."""
    total = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept: list[Any] = [parameter, parameter.grad]
            kept += [value for name, value in optimizer.state[parameter].items() if name != "step"]
            for tensor in kept:
                local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
                total += local.numel() * local.element_size()
    return total


__all__ = ["ScalingEstimate", "scaling_estimate", "state_bytes"]
