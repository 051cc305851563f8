"""Our stacks as model specifications of CTranslate2: https://opennmt.net/CTranslate2/python/ctranslate2.specs.html

All kinds of positions are written as a table, so every layout of the sinusoids works without reordering.
"""

from __future__ import annotations

from typing import Any

import torch
from ctranslate2 import specs
from ctranslate2.specs import common_spec
from torch import nn
from transformers import PreTrainedModel

__all__ = ["ACTIVATIONS", "specification"]

ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELU,
    "gelu_new": common_spec.Activation.GELUTanh,
    "gelu_pytorch_tanh": common_spec.Activation.GELUTanh,
    "gelu_fast": common_spec.Activation.GELUTanh,
    "quick_gelu": common_spec.Activation.GELUSigmoid,
    "silu": common_spec.Activation.SWISH,
    "swish": common_spec.Activation.SWISH,
    "tanh": common_spec.Activation.Tanh,
    "sigmoid": common_spec.Activation.Sigmoid,
}


def specification(model: PreTrainedModel) -> Any:
    """The specification of a model with its weights, but without the vocabulary.

    Args:
        model: an encoder-decoder or a decoder with a language-model head, or an encoder (its head is left out).
    """
    config = model.config
    common = {
        "pre_norm": config.norm_first,
        "activation": ACTIVATIONS[config.hidden_act],
        "layernorm_embedding": config.layernorm_embedding,
    }
    heads = config.num_attention_heads
    if config.model_type == "vanilla_transformer":
        spec = specs.TransformerSpec.from_config((config.encoder_layers, config.decoder_layers), heads, **common)
        _fill_stack(spec.encoder, model.model.encoder)
        _fill_stack(spec.decoder, model.model.decoder)
        _fill_linear(spec.decoder.projection, model.lm_head)
    elif config.model_type == "vanilla_decoder":
        spec = specs.TransformerDecoderModelSpec.from_config(config.num_hidden_layers, heads, **common)
        _fill_stack(spec.decoder, model.model)
        _fill_linear(spec.decoder.projection, model.lm_head)
    else:
        stack = getattr(model, "model", model)
        encoder = specs.TransformerEncoderSpec(
            config.num_hidden_layers,
            heads,
            num_source_embeddings=2 if config.type_vocab_size else 1,
            embeddings_merge=common_spec.EmbeddingsMerge.ADD,
            **common,
        )
        if stack.pooler is None:
            spec = specs.TransformerEncoderModelSpec(encoder)
        else:
            spec = specs.TransformerEncoderModelSpec(encoder, True, ACTIVATIONS[config.pooler_act])
            _fill_linear(spec.pooler_dense, stack.pooler.dense)
        _fill_stack(encoder, stack)
    spec.config.layer_norm_epsilon = config.layer_norm_eps
    return spec


def _fill_stack(spec: Any, stack: PreTrainedModel) -> None:
    config = stack.config
    # A number is a factor; the default, True, means sqrt(hidden_size).
    spec.scale_embeddings = float(stack.embed_scale)
    embeddings = spec.embeddings if isinstance(spec.embeddings, list) else [spec.embeddings]
    embeddings[0].weight = _tensor(stack.embed_tokens.weight)
    if len(embeddings) > 1:
        embeddings[1].weight = _tensor(stack.embed_token_types.weight)
    positions = stack.embed_positions
    table = positions.weight if config.position_embedding_type == "learned" else positions.table
    spec.position_encodings.encodings = _tensor(table[: config.max_position_embeddings])
    if config.layernorm_embedding:
        _fill_norm(spec.layernorm_embedding, stack.embed_norm)
    if config.norm_first:
        _fill_norm(spec.layer_norm, stack.norm)
    for layer_spec, layer in zip(spec.layer, stack.layers, strict=True):
        attention = layer.self_attn
        _fill_linear(layer_spec.self_attention.linear[0], attention.q_proj, attention.k_proj, attention.v_proj)
        _fill_linear(layer_spec.self_attention.linear[1], attention.o_proj)
        _fill_norm(layer_spec.self_attention.layer_norm, layer.self_attn_norm)
        if hasattr(layer, "cross_attn"):
            attention = layer.cross_attn
            _fill_linear(layer_spec.attention.linear[0], attention.q_proj)
            _fill_linear(layer_spec.attention.linear[1], attention.k_proj, attention.v_proj)
            _fill_linear(layer_spec.attention.linear[2], attention.o_proj)
            _fill_norm(layer_spec.attention.layer_norm, layer.cross_attn_norm)
        _fill_linear(layer_spec.ffn.linear_0, layer.mlp.fc1)
        _fill_linear(layer_spec.ffn.linear_1, layer.mlp.fc2)
        _fill_norm(layer_spec.ffn.layer_norm, layer.mlp_norm)


def _fill_linear(spec: Any, *maps: nn.Linear) -> None:
    """Writes one linear layer, or several with the same input, concatenated along their outputs."""
    spec.weight = torch.cat([_tensor(linear.weight) for linear in maps])
    if maps[0].bias is not None:
        spec.bias = torch.cat([_tensor(linear.bias) for linear in maps])


def _fill_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _tensor(norm.weight), _tensor(norm.bias)


def _tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a float32 copy, because CTranslate2 scales weights in place when it quantizes them."""
    return tensor.detach().to("cpu", torch.float32, copy=True)
