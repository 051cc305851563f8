"""Linear maps: the same numbers as `nn.Linear`, sooner in float32 on AMD processors with AVX-512.

Torch multiplies float32 matrices with MKL, which uses only AVX2 on processors of AMD. oneDNN, which torch includes and
uses for bf16, checks which instructions the processor has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .plain_values_vanilla import has_plain_cpu_values

# The number of multiplications of a product from which on oneDNN is faster, by the features of a processor; the first
# match counts. Only AMD has SSE4a; elsewhere torch chooses. Zen 5, the first with VP2INTERSECT, executes AVX-512 at
# full width: oneDNN is twice as fast, but its calls cost more. Zen 4 executes AVX-512 in halves and gains 1.2 to 1.7
# from about 2^30 multiplications on, and nothing at 2^25. Without AVX-512 both use the same instructions and are equal.
# `python -m benchmarks products --shapes` measures it.
_FEWEST_MULTIPLICATIONS = (
    (("sse4a", "avx512_f", "avx512_vp2intersect"), 1 << 22),
    (("sse4a", "avx512_f"), 1 << 28),
)


@cache
def fewest_multiplications() -> float:
    """From how many multiplications on this processor computes a float32 product sooner with oneDNN than with MKL.

    Infinity for never. The processor decides, not a measurement, so that a repeated or resumed run uses the same
    kernels.
    """
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available() and _linear() is not None):
        return math.inf
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    for features, fewest in _FEWEST_MULTIPLICATIONS:
        if all(capabilities.get(feature, False) for feature in features):
            return fewest
    return math.inf


def _linear() -> Any:
    """The operator of torch for a linear map with oneDNN, a private name; None if this torch lacks it."""
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def takes_onednn(left: torch.Tensor, right: torch.Tensor, multiplications: int) -> bool:
    """Whether the product of two tensors uses oneDNN: they are plain, float32 and large, on such a processor.

    `torch.backends.mkldnn.flags(enabled=False)` sends all products to MKL, as everywhere in torch.
    """
    return (
        not torch.compiler.is_compiling()  # a compiler has its own kernels, and may not know the size yet
        and not torch.jit.is_tracing()
        and multiplications >= fewest_multiplications()
        and torch.backends.mkldnn.enabled
        and left.dtype == right.dtype == torch.float32
        and left.device.type == right.device.type == "cpu"
        and type(left) in (torch.Tensor, nn.Parameter)  # sharded and quantized tensors have their own products
        and type(right) in (torch.Tensor, nn.Parameter)
    )


def by_onednn(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str = "none",
    variant: str = "",
) -> torch.Tensor:
    """`activation(inputs @ weight.T + bias)`: (..., in) with (out, in) to (..., out).

    Args:
        weight: a matrix, or a `reordered_for_onednn`.
        activation: a name of oneDNN: `none`, `relu`, or `gelu`, which has the variants `none` (exact) and `tanh`.
        variant: of the activation.
    """
    return _linear()(inputs, weight, bias, activation, [], variant)


def reordered_for_onednn(weight: torch.Tensor, rows: int) -> torch.Tensor | None:
    """A copy of the weight (out, in) in the layout that oneDNN prefers for this processor and about `rows` rows.

    Only `by_onednn` reads it. Without such a copy, oneDNN reorders the weight in each call. None where this torch has
    no oneDNN.
    """
    reorder = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)  # a private name, as that of `_linear`
    if reorder is None or _linear() is None or not torch.backends.mkldnn.is_available():
        return None
    return reorder(weight.detach(), rows)


def weight_gradient_by_onednn(grad_outputs: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """`grad_outputs.T @ inputs`: (rows, out) with (rows, in) to (out, in)."""
    if grad_outputs.shape[1] > inputs.shape[1]:  # oneDNN divides the columns of the product among the cores
        return by_onednn(inputs.T, grad_outputs.T).T
    return by_onednn(grad_outputs.T, inputs.T)


def batched_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor | None:
    """`left @ right` by oneDNN, (count, n, k) with (count, k, m) to (count, n, m), without gradients.

    None where `torch.bmm` is at least as fast.
    """
    count, rows, shared = left.shape
    if not takes_onednn(left, right, rows * shared * right.shape[2]):
        return None
    product = left.new_empty(count, rows, right.shape[2])
    for number in range(count):
        product[number] = by_onednn(left[number], right[number].mT)
    return product


class _LinearByOneDNN(torch.autograd.Function):
    """`by_onednn` with gradients of every order."""

    generate_vmap_rule = True

    @staticmethod
    def forward(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return by_onednn(inputs, weight, bias)

    @staticmethod
    def setup_context(context: Any, inputs: tuple[torch.Tensor | None, ...], output: torch.Tensor) -> None:
        states, weight, _ = inputs
        context.save_for_backward(states, weight)
        context.save_for_forward(states, weight)

    @staticmethod
    def backward(context: Any, grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight = context.saved_tensors
        needs_inputs, needs_weight, needs_bias = context.needs_input_grad
        grad_inputs = grad_weight = grad_bias = None
        # Transforms, and several gradients at once (`is_grads_batched`), need operators that torch can batch.
        plain = has_plain_cpu_values(grad_outputs)
        if needs_inputs:
            grad_inputs = _LinearByOneDNN.apply(grad_outputs, weight.T, None) if plain else grad_outputs @ weight
        rows = grad_outputs.reshape(-1, grad_outputs.shape[-1])
        if needs_weight:
            states = inputs.reshape(-1, inputs.shape[-1])
            if torch.is_grad_enabled() or not plain:  # the caller needs the gradient of the gradient
                grad_weight = rows.transpose(0, 1) @ states
            else:
                grad_weight = weight_gradient_by_onednn(rows, states)
        if needs_bias:
            grad_bias = rows.sum(0)
        return grad_inputs, grad_weight, grad_bias

    @staticmethod
    def jvp(
        context: Any,
        inputs_tangent: torch.Tensor | None,
        weight_tangent: torch.Tensor | None,
        bias_tangent: torch.Tensor | None,
    ) -> torch.Tensor | None:
        inputs, weight = context.saved_tensors
        terms = [
            None if inputs_tangent is None else inputs_tangent @ weight.T,
            None if weight_tangent is None else inputs @ weight_tangent.T,
            None if bias_tangent is None else bias_tangent.expand(*inputs.shape[:-1], -1),
        ]
        return sum(term for term in terms if term is not None)


class _LinearKernels(TorchFunctionMode):
    """While it is active, `nn.functional.linear` takes the kernels of this file. `nn.Linear` calls that function."""

    def __torch_function__(
        self, func: Callable, types: tuple[type, ...], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.linear and not kwargs:
            inputs, weight, bias = (*args, None)[:3]
            if takes_onednn(inputs, weight, inputs.numel() * weight.shape[0]):
                return _LinearByOneDNN.apply(inputs, weight, bias)
        return func(*args, **(kwargs or {}))


def linear_kernels(states: torch.Tensor) -> AbstractContextManager:
    """A context in which linear maps of `states` (..., hidden) use oneDNN where it is faster.

    The modules stay `nn.Linear`, because tools for quantization and adapters look for that very type.
    """
    faster = (
        has_plain_cpu_values(states)
        and states.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and takes_onednn(states, states, states.numel() * states.shape[-1])
    )
    return _LinearKernels() if faster else nullcontext()


def linear(module: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """`module(states)`, with the kernels of this file for the linear map: (..., in) to (..., out)."""
    with linear_kernels(states):
        return module(states)


__all__ = [
    "batched_product",
    "by_onednn",
    "linear",
    "linear_kernels",
    "reordered_for_onednn",
    "takes_onednn",
    "weight_gradient_by_onednn",
]
