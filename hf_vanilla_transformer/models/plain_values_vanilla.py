"""Whether the numbers of a tensor may be looked at, and whether kernels for ordinary tensors on CPU may be used.

Checks of ids and kernels with autograd functions of their own are for plain execution. A compiler, a tracer and the
function transforms (`torch.func.vmap`, `grad`, `jvp`) run the same code with stand-ins for the numbers.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd import forward_ad


def has_plain_values(tensor: torch.Tensor) -> bool:
    """Whether Python may look at the numbers: an ordinary tensor, outside of compilers, tracers and transforms.

    On other devices than CPU, looking waits for the device; see `has_plain_cpu_values`.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and type(tensor) in (torch.Tensor, nn.Parameter)  # not sharded, quantized or fake
        and not torch._C._functorch.is_legacy_batchedtensor(tensor)  # not of `autograd.grad(is_grads_batched=True)`
        and tensor.device.type != "meta"
    )


def has_plain_cpu_values(tensor: torch.Tensor) -> bool:
    """`has_plain_values` on CPU, where looking at numbers costs next to nothing."""
    return tensor.device.type == "cpu" and has_plain_values(tensor)


__all__ = ["has_plain_cpu_values", "has_plain_values"]
