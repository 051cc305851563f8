"""Whether a model computes what its configuration says and nothing else, so that its layers may be computed flat."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from transformers import PreTrainedModel
from transformers.utils import output_capturing

from ..inference.low_precision import LowPrecisionLinear
from ..models.attention_vanilla import CrossAttention, SelfAttention
from ..models.heads_vanilla import LanguageModelTransform
from ..models.kernels_dropout_vanilla import Dropout
from ..models.layers_vanilla import FeedForward, SinusoidalPositions, TransformerLayer
from ..models.modeling_vanilla_decoder import VanillaDecoderForCausalLM, VanillaDecoderModel
from ..models.modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, VanillaTransformerModel
from ..models.plain_values_vanilla import has_plain_cpu_values
from .flat_decoder import decoder_of, decoding_modules

_MODELS = (VanillaTransformerForConditionalGeneration, VanillaDecoderForCausalLM)
# What a decoder consists of, besides its activation functions.
_PARTS = {
    CrossAttention,
    Dropout,
    FeedForward,
    LanguageModelTransform,
    LowPrecisionLinear,
    SelfAttention,
    SinusoidalPositions,
    TransformerLayer,
    VanillaDecoderModel,
    VanillaTransformerModel,
    nn.Embedding,
    nn.LayerNorm,
    nn.Linear,
    nn.ModuleList,
}
# What the loop of transformers calls for a step; a subclass that changes one of them is left to it.
_METHODS = ("__call__", "forward", "logits", "transformed", "prepare_inputs_for_generation", "_prefill")
_METHODS += ("_update_model_kwargs_for_generation", "get_decoder", "loss_and_logits")


def reason_against(model: PreTrainedModel) -> str | None:
    """Why the decoder of a model cannot be computed flat, or None if it can.

    Hooks, adapters, quantized or sharded weights, compiled modules, and dropout in training mode are reasons, because
    they change what a step computes or watch it.
    """
    base = next((kind for kind in _MODELS if isinstance(model, kind)), None)
    if base is None:
        return f"{type(model).__name__} is not a model of this package"
    for name in _METHODS:
        if getattr(type(model), name, None) is not getattr(base, name, None):
            return f"{type(model).__name__} has its own {name}"
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on"
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return "there are hooks on all modules"
    stack = decoder_of(model)
    if stack.config._attn_implementation not in ("eager", "sdpa"):
        return f"attention is {stack.config._attn_implementation!r}"
    weight = getattr(stack.embed_tokens, "weight", None)
    if weight is None:
        return f"the table of tokens is a {type(stack.embed_tokens).__name__}"
    dtype = weight.dtype
    if dtype not in (torch.float32, torch.float64) or not has_plain_cpu_values(weight):
        return "the model is not in float32 or float64 on CPU, or is being traced"
    free = {id(model)}
    for part in (*(layer.mlp for layer in stack.layers), getattr(model, "lm_head_transform", None)):
        if type(part) in (FeedForward, LanguageModelTransform):
            free |= {id(module) for module in part.activation.modules()}
    for module in decoding_modules(model):
        attributes = module.__dict__
        kind = type(module)
        if kind not in _PARTS and id(module) not in free:
            return f"the decoder has a {kind.__name__}"
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


def _is_watched(hooks: dict[int, Any]) -> bool:
    """Whether there are hooks besides those of transformers, which wait for `output_attentions` and the like."""
    return any(hook.__module__ != output_capturing.__name__ for hook in hooks.values())
