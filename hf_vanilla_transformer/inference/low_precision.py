"""Linear maps with weights in int8 or bfloat16, for models in use on a CPU.

A product of few rows mostly waits for its weight to arrive from memory. In int8 the weight has a quarter of the bytes,
and integer arithmetic is faster; the answers change a little. Everything else, embeddings, norms and attention, stays
in float32.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import nn
from transformers import PreTrainedModel

from ..device import has_bfloat16_arithmetic

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Below this number of weights, a call in int8 takes longer than in float32 and saves hardly any memory.
_FEW_WEIGHTS = 1 << 17


def check_precision(precision: str, device: torch.device | str = "cpu") -> None:
    """Checks that linear maps can compute in this precision on this machine and device.

    Raises:
        ValueError: they cannot.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} must be one of {', '.join(PRECISIONS)}.")
    if precision == "float32":
        return
    if torch.device(device).type != "cpu":
        raise ValueError(
            f"precision={precision!r} is for the CPU, but the device is {device}: leave precision out, or choose the "
            "device cpu."
        )
    if precision == "bfloat16" and not has_bfloat16_arithmetic():
        raise ValueError(
            "precision='bfloat16' needs a processor with bfloat16 arithmetic, which this one lacks; int8 and float32 "
            "run here."
        )
    if precision == "int8" and _engine() is None:
        raise ValueError(
            f"precision='int8' needs a torch with quantized linear maps, which {torch.__version__} on this processor "
            "lacks: use float32."
        )


def lower_precision(model: PreTrainedModel, precision: Precision) -> None:
    """Replaces the large linear maps of a model by `LowPrecisionLinear`, in place. "float32" changes nothing.

    The float32 weights are freed, unless something else needs them, as the embedding does to which a head is tied. The
    model can then be used, but neither trained nor saved.

    Args:
        model: a model on the CPU, of this package or any other whose linear maps are `nn.Linear`.
        precision: of the weights.

    Raises:
        ValueError: this machine cannot compute in this precision, or the model is not on the CPU.
    """
    check_precision(precision, model.device)
    if precision == "float32":
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child.weight.numel() >= _FEW_WEIGHTS:
                setattr(module, name, LowPrecisionLinear(child.weight, child.bias, precision))


def describe_precision(model: PreTrainedModel) -> str:
    """What `lower_precision` did to a model, in one sentence."""
    maps = [module for module in model.modules() if isinstance(module, LowPrecisionLinear)]
    if not maps:
        return f"all weights stay as they are, because no linear map has {_FEW_WEIGHTS:,} of them"
    others = sum(type(module) is nn.Linear for module in model.modules())
    weights = sum(one.in_features * one.out_features for one in maps)
    memory = sum(one.memory for one in maps)
    return (
        f"{len(maps)} of {len(maps) + others} linear maps are in {maps[0].precision} and take {memory / 1e6:,.1f} MB "
        f"instead of {4 * weights / 1e6:,.1f} MB; answers may differ from those of float32"
    )


class LowPrecisionLinear(nn.Module):
    """`nn.Linear` with its weight in int8 or bfloat16; inputs and outputs keep their type.

    In int8, each row of the weight has a scale (symmetric, per output), and each row of the inputs is scaled to 8 bits
    when it comes (dynamic quantization). So the answer to a text does not depend on the other texts of its batch. On
    x86 processors without VNNI, pairs of products are added in 16 bits; there, weights take 7 bits, which cannot
    overflow.

    Args:
        weight: (out, in).
        bias: (out,), or None.
        precision: "int8" or "bfloat16".
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, precision: Precision) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.precision = precision
        self.register_buffer("bias", None if bias is None else bias.detach().float(), persistent=False)
        weight = weight.detach().float()
        self._values: Any = _quantized(weight) if precision == "int8" else weight.bfloat16()

    @property
    def weight(self) -> torch.Tensor:
        """The weight in float32 as this map uses it, (out, in); computed anew in each call."""
        if self.precision == "int8":
            return torch.ops.quantized.linear_unpack(self._values)[0].dequantize()
        return self._values.float()

    @property
    def memory(self) -> int:
        """Bytes of the weight."""
        return self.in_features * self.out_features * (1 if self.precision == "int8" else 2)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out). A gradient is refused when it is asked for."""
        if torch.is_grad_enabled() and states.requires_grad:
            return _WithoutGradient.apply(states, self)
        return self._multiply(states)

    def _multiply(self, states: torch.Tensor) -> torch.Tensor:
        if self.precision == "bfloat16":
            bias = None if self.bias is None else self.bias.bfloat16()
            return nn.functional.linear(states.bfloat16(), self._values, bias).to(states.dtype)
        inputs = states.float()
        # A row of zeros has a scale of 0, and 0 / 0 is not a number.
        scale = inputs.abs().amax(-1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny)
        # Fixed bounds of -1 and 1 for all rows: 1/127 is one step, and 128 is zero.
        output = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            inputs / scale, 1 / 127, 128, self._values
        )
        output = output * scale if self.bias is None else torch.addcmul(self.bias, output, scale)
        return output.to(states.dtype)

    def extra_repr(self) -> str:
        """As that of `nn.Linear`, with the precision."""
        has_bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={has_bias}, {self.precision}"

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        raise ValueError(
            f"{prefix.rstrip('.')} is in {self.precision}, which is only for use: load the model in float32 to save it."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> LowPrecisionLinear:
        """Shares the packed weight, which never changes."""
        copied = self.__new__(type(self))
        memo[id(self)] = copied
        nn.Module.__init__(copied)
        copied.in_features, copied.out_features, copied.precision = self.in_features, self.out_features, self.precision
        copied.register_buffer("bias", None if self.bias is None else self.bias.clone(), persistent=False)
        copied._values = self._values
        return copied.train(self.training)


class _WithoutGradient(torch.autograd.Function):
    """A map in fewer bits in a graph of autograd: its output is right, and its gradient does not exist."""

    @staticmethod
    def forward(context: Any, states: torch.Tensor, linear: LowPrecisionLinear) -> torch.Tensor:
        context.precision = linear.precision
        return linear._multiply(states)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        raise ValueError(f"A model in {context.precision} has no gradients: load it in float32 to compute them.")


@functools.cache
def _engine() -> str | None:
    """The library of torch that multiplies in int8 with few rows soonest; None if there is none."""
    if not hasattr(torch.ops.quantized, "linear_with_input_q_dq_qweight_dq_output_fp32"):
        return None
    supported = torch.backends.quantized.supported_engines
    return next((engine for engine in ("fbgemm", "onednn", "qnnpack") if engine in supported), None)


@functools.cache
def _levels() -> int:
    """The largest int8 of a weight. Without VNNI, 2 · 255 · 63 still fits 16 bits, and 2 · 255 · 127 does not."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    is_x86 = capabilities.get("architecture") == "x86_64"
    return 63 if is_x86 and not capabilities.get("avx512_vnni", False) else 127


def _quantized(weight: torch.Tensor) -> Any:
    """The weight (out, in) in int8 with one scale for each row, packed for `torch.ops.quantized`."""
    scales = weight.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny) / _levels()
    zeros = torch.zeros(len(weight), dtype=torch.long)
    values = (weight / scales[:, None]).round_().to(torch.int8)
    with _quantized_engine(), warnings.catch_warnings():
        # Torch will drop these tensors at some time; `_engine` asks whether it still has them.
        warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor")
        tensor = torch._make_per_channel_quantized_tensor(values, scales.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(tensor, None)


@contextmanager
def _quantized_engine() -> Iterator[None]:
    """Torch packs weights for the engine that is set."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = _engine()
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


__all__ = [
    "PRECISIONS",
    "LowPrecisionLinear",
    "Precision",
    "check_precision",
    "describe_precision",
    "lower_precision",
]
