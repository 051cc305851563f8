"""Whether modules compute what they were written for and nothing else, so that their weights may be used without them.

Hooks, adapters, quantized or sharded weights, compiled modules, and dropout in training mode change what a module
computes, or watch it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from transformers.utils import output_capturing

from ..models.attention_vanilla import CrossAttention, SelfAttention
from ..models.heads_vanilla import LanguageModelTransform
from ..models.kernels_dropout_vanilla import Dropout
from ..models.layers_vanilla import FeedForward, SinusoidalPositions, TransformerLayer
from ..models.plain_values_vanilla import has_plain_cpu_values
from .low_precision import LowPrecisionLinear

# What stacks and heads consist of, besides their activation functions.
_PARTS = {
    CrossAttention,
    Dropout,
    FeedForward,
    LanguageModelTransform,
    LowPrecisionLinear,
    SelfAttention,
    SinusoidalPositions,
    TransformerLayer,
    nn.Embedding,
    nn.LayerNorm,
    nn.Linear,
    nn.ModuleList,
}


def reason_against_stack(stack: Any) -> str | None:
    """Why the layers of a stack cannot be computed without its modules, whatever these are; None if they can."""
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on"
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return "there are hooks on all modules"
    if stack.config._attn_implementation not in ("eager", "sdpa"):
        return f"attention is {stack.config._attn_implementation!r}"
    weight = getattr(stack.embed_tokens, "weight", None)
    if weight is None:
        return f"the table of tokens is a {type(stack.embed_tokens).__name__}"
    if weight.dtype not in (torch.float32, torch.float64) or not has_plain_cpu_values(weight):
        return "the model is not in float32 or float64 on CPU, or is being traced"
    return None


def reason_against_modules(
    modules: Iterable[nn.Module], kinds: Collection[type], also: Collection[nn.Module], dtype: torch.dtype
) -> str | None:
    """Why modules cannot be replaced by their weights, or None if they can.

    Args:
        modules: all modules that would be replaced.
        kinds: classes of models that may be among them, besides the parts of a stack.
        also: modules of any class that may be among them, besides activation functions.
        dtype: that of all weights.
    """
    modules = list(modules)
    free = {id(module) for module in also}
    for module in modules:
        if type(module) in (FeedForward, LanguageModelTransform):
            free |= {id(part) for part in module.activation.modules()}
    for module in modules:
        attributes = module.__dict__
        kind = type(module)
        if kind not in _PARTS and kind not in kinds and id(module) not in free:
            return f"there is a {kind.__name__}"
        if attributes["_forward_pre_hooks"] or "forward" in attributes or _is_watched(attributes["_forward_hooks"]):
            return f"{kind.__name__} has a hook or another forward"
        if attributes.get("_compiled_call_impl") is not None:
            return f"{kind.__name__} is compiled"
        if kind is Dropout and module.training and module.p > 0:
            return "dropout is on"
        for tensor in attributes["_parameters"].values():
            if tensor is not None and (
                type(tensor) not in (torch.Tensor, nn.Parameter)
                or tensor.dtype != dtype
                or not tensor.is_cpu
                or tensor.layout != torch.strided
                or not tensor.is_contiguous()
                or tensor.is_inference()
            ):
                return f"a weight of {kind.__name__} is not a plain, contiguous tensor of {dtype} on CPU"
    return None


def modules_of(*roots: nn.Module | None) -> list[nn.Module]:
    """These modules and all below them; None stands for one that a model does not have.

    `nn.Module.modules` takes ten times as long, and this runs in every call of a model.
    """
    found: list[nn.Module] = []
    todo = list(roots)
    while todo:
        module = todo.pop()
        if module is not None:
            found.append(module)
            todo += module._modules.values()
    return found


def _is_watched(hooks: dict[int, Any]) -> bool:
    """Whether there are hooks besides those of transformers, which wait for `output_attentions` and the like."""
    return any(hook.__module__ != output_capturing.__name__ for hook in hooks.values())


__all__ = ["modules_of", "reason_against_modules", "reason_against_stack"]
