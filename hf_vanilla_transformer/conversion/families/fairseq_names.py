"""Tensor names and fields that BART, mBART, M2M100, FSMT, Marian, Pegasus, OPT, XGLM and BioGPT share with fairseq."""

from __future__ import annotations

from typing import Any

from ..family import Field, Head, Requirement
from ..tensor_rules import Flatten, Repeat, Rule, SkipRows, layers, module, tensor, within

__all__ = [
    "DECODER_LAYER",
    "DECODER_ONLY_LAYER",
    "ENCODER_DECODER_EQUAL",
    "ENCODER_DECODER_FIELDS",
    "ENCODER_DECODER_REQUIRED",
    "FAIRSEQ_POSITIONS",
    "FINAL_LOGITS_BIAS",
    "LAYER_DROP",
    "SHARED_WITH_TIE",
    "encoder_decoder_heads",
    "encoder_decoder_tensors",
    "shared_embeddings",
]


def _attention(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        *module(f"{ours}.q_proj", f"{theirs}.q_proj"),
        *module(f"{ours}.k_proj", f"{theirs}.k_proj"),
        *module(f"{ours}.v_proj", f"{theirs}.v_proj"),
        *module(f"{ours}.o_proj", f"{theirs}.out_proj"),
        *module(f"{ours}_norm", f"{theirs}_layer_norm"),
    )


DECODER_ONLY_LAYER = (
    *_attention("self_attn", "self_attn"),
    *module("mlp.fc1", "fc1"),
    *module("mlp.fc2", "fc2"),
    *module("mlp_norm", "final_layer_norm"),
)
DECODER_LAYER = (*DECODER_ONLY_LAYER, *_attention("cross_attn", "encoder_attn"))

ENCODER_DECODER_FIELDS = (
    Field("vocab_size", "vocab_size"),
    Field("hidden_size", "d_model"),
    Field("encoder_layers", "encoder_layers"),
    Field("decoder_layers", "decoder_layers"),
    Field("num_attention_heads", "encoder_attention_heads"),
    Field("intermediate_size", "encoder_ffn_dim"),
    Field("hidden_act", "activation_function"),
    Field("dropout", "dropout"),
    Field("attention_dropout", "attention_dropout"),
    Field("activation_dropout", "activation_dropout"),
    Field("max_position_embeddings", "max_position_embeddings"),
    Field("initializer_range", "init_std"),
    Field("scale_embedding", "scale_embedding"),
    Field("pad_token_id", "pad_token_id"),
    Field("bos_token_id", "bos_token_id"),
    Field("eos_token_id", "eos_token_id"),
    Field("decoder_start_token_id", "decoder_start_token_id"),
    Field("tie_word_embeddings", "tie_word_embeddings"),
    Field("use_cache", "use_cache"),
)
ENCODER_DECODER_EQUAL = (
    ("encoder_ffn_dim", "decoder_ffn_dim"),
    ("encoder_attention_heads", "decoder_attention_heads"),
)
ENCODER_DECODER_REQUIRED = {"is_encoder_decoder": True, "is_decoder": False}
LAYER_DROP = {"encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0}

# fairseq reserved the first two rows of its learned positions for padding.
FAIRSEQ_POSITIONS = tensor("embed_positions.weight", "embed_positions.weight", SkipRows(2))

# A buffer of shape (1, vocabulary) that is added to the logits; transformers does not train it.
FINAL_LOGITS_BIAS = (tensor("lm_head.bias", "final_logits_bias", Flatten(), zero_if_absent=True),)


SHARED_WITH_TIE = Requirement(
    "share_encoder_decoder_embeddings",
    "True if tie_word_embeddings is True",
    lambda ours: ours.share_encoder_decoder_embeddings or not ours.tie_word_embeddings,
)


def shared_embeddings(config: Any) -> bool:
    """Whether source and target share the embedding matrix in a model of transformers with this configuration.

    All ties depend on `tie_word_embeddings`; Marian has another field in addition.
    """
    return bool(config.tie_word_embeddings and getattr(config, "share_encoder_decoder_embeddings", True))


def encoder_decoder_tensors(
    config: Any,
    *,
    learned_positions: bool = False,
    layernorm_embedding: bool = False,
    norm_first: bool = False,
    shared_matrix: bool = True,
) -> tuple[Rule, ...]:
    """The rules of an encoder-decoder.

    `shared.weight` is the matrix that all names are tied to. Without ties it is unused and equals the encoder's.

    Args:
        config: the family's configuration.
        learned_positions: whether positions are learned.
        layernorm_embedding: whether the embeddings have a norm.
        norm_first: whether the stacks end with a norm.
        shared_matrix: whether the model has `shared.weight`.
    """
    rules: list[Rule] = []
    has_shared = shared_matrix and getattr(config, "share_encoder_decoder_embeddings", True)
    encoder_names = ("encoder.embed_tokens.weight", *(("shared.weight",) if has_shared else ()))
    rules.append(Rule(("encoder.embed_tokens.weight",), encoder_names, Repeat(len(encoder_names))))
    rules.append(tensor("decoder.embed_tokens.weight", "decoder.embed_tokens.weight"))
    for stack, count, layer in (
        ("encoder", config.encoder_layers, DECODER_ONLY_LAYER),
        ("decoder", config.decoder_layers, DECODER_LAYER),
    ):
        stack_rules: list[Rule] = []
        if learned_positions:
            stack_rules.append(FAIRSEQ_POSITIONS)
        if layernorm_embedding:
            stack_rules.extend(module("embed_norm", "layernorm_embedding"))
        if norm_first:
            stack_rules.extend(module("norm", "layer_norm"))
        stack_rules.extend(layers(count, layer, "layers.{}.", "layers.{}."))
        rules.extend(within(stack_rules, f"{stack}.", f"{stack}."))
    return tuple(rules)


def encoder_decoder_heads(base: str, generation: str, head: tuple[Rule, ...]) -> tuple[Head, ...]:
    """The two pairs of classes of these families: the base model and the generating model."""
    return (
        Head("VanillaTransformerModel", base, base=True),
        Head(
            "VanillaTransformerForConditionalGeneration",
            generation,
            (tensor("lm_head.weight", "lm_head.weight"), *head),
            language_model=True,
        ),
    )
