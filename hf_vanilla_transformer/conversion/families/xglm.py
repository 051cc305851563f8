"""XGLM (Lin et al. 2021): pre-norm decoder with tensor2tensor's sinusoids, counted from row 2."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head
from ..tensor_rules import Rule, layers, module, tensor
from .fairseq_names import DECODER_ONLY_LAYER
from .gpt2 import GPT2

__all__ = ["XGLM"]


def _padding(pad_token_id: int | None) -> int | None:
    """XGLM sets the sinusoids in this row to zero; rows from 2 on are used by tokens."""
    if pad_token_id is not None and pad_token_id > 1:
        raise ValueError(
            f"XGLM with pad_token_id={pad_token_id} has zeros in that row of its sinusoids; only 0, 1 or None is "
            "supported (published models have 1)"
        )
    return pad_token_id


def _tensors(config: Any) -> tuple[Rule, ...]:
    return (
        tensor("embed_tokens.weight", "embed_tokens.weight"),
        *layers(config.num_layers, DECODER_ONLY_LAYER, "layers.{}.", "layers.{}."),
        *module("norm", "layer_norm"),
    )


XGLM = Family(
    model_type="xglm",
    stack="vanilla_decoder",
    config_class="XGLMConfig",
    base_prefix="model.",
    fields=(
        Field("vocab_size", "vocab_size"),
        Field("hidden_size", "d_model"),
        Field("num_hidden_layers", "num_layers"),
        Field("num_attention_heads", "attention_heads"),
        Field("intermediate_size", "ffn_dim"),
        Field("hidden_act", "activation_function"),
        Field("dropout", "dropout"),
        Field("attention_dropout", "attention_dropout"),
        Field("activation_dropout", "activation_dropout"),
        Field("max_position_embeddings", "max_position_embeddings"),
        Field("initializer_range", "init_std"),
        Field("scale_embedding", "scale_embedding"),
        Field("pad_token_id", "pad_token_id", _padding, _padding),
        Field("bos_token_id", "bos_token_id"),
        Field("eos_token_id", "eos_token_id"),
        Field("tie_word_embeddings", "tie_word_embeddings"),
        Field("use_cache", "use_cache"),
    ),
    constants={
        "norm_first": True,
        "position_embedding_type": "sinusoidal_t2t",
        "position_offset": 2,
        "layernorm_embedding": False,
        "type_vocab_size": 0,
        "add_cross_attention": False,
        "layer_norm_eps": 1e-5,
    },
    head_constants=GPT2.head_constants,
    required_values={"add_cross_attention": False},
    only_eager=True,
    training_settings={"layerdrop": 0.0},
    rules=_tensors,
    heads=(
        Head("VanillaDecoderModel", "XGLMModel", base=True),
        Head(
            "VanillaDecoderForCausalLM",
            "XGLMForCausalLM",
            (tensor("lm_head.weight", "lm_head.weight"),),
            language_model=True,
        ),
    ),
)
