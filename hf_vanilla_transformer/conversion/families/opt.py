"""OPT (Zhang et al. 2022): pre-norm decoder, learned positions of unmasked tokens, two unused position rows."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head
from ..tensor_rules import Rule, layers, module, tensor, within
from .fairseq_names import DECODER_ONLY_LAYER, FAIRSEQ_POSITIONS
from .gpt2 import GPT2, SCORE

__all__ = ["OPT"]


def _tensors(config: Any) -> tuple[Rule, ...]:
    return within(
        (
            tensor("embed_tokens.weight", "embed_tokens.weight"),
            FAIRSEQ_POSITIONS,
            *layers(config.num_hidden_layers, DECODER_ONLY_LAYER, "layers.{}.", "layers.{}."),
            *module("norm", "final_layer_norm"),
        ),
        theirs="decoder.",
    )


OPT = Family(
    model_type="opt",
    stack="vanilla_decoder",
    config_class="OPTConfig",
    base_prefix="model.",
    fields=(
        Field("vocab_size", "vocab_size"),
        Field("hidden_size", "hidden_size"),
        Field("num_hidden_layers", "num_hidden_layers"),
        Field("num_attention_heads", "num_attention_heads"),
        Field("intermediate_size", "ffn_dim"),
        Field("hidden_act", "activation_function"),
        Field("dropout", "dropout"),
        Field("attention_dropout", "attention_dropout"),
        Field("max_position_embeddings", "max_position_embeddings"),
        Field("initializer_range", "init_std"),
        Field("pad_token_id", "pad_token_id"),
        Field("bos_token_id", "bos_token_id"),
        Field("eos_token_id", "eos_token_id"),
        Field("tie_word_embeddings", "tie_word_embeddings"),
        Field("use_cache", "use_cache"),
    ),
    constants=GPT2.constants | {"layer_norm_eps": 1e-5},
    head_constants=GPT2.head_constants,
    training_constants=GPT2.training_constants,
    positions_from_mask=True,
    required_values={
        "do_layer_norm_before": True,
        "_remove_final_layer_norm": False,
        "enable_bias": True,
        "layer_norm_elementwise_affine": True,
    },
    equal=(("hidden_size", "word_embed_proj_dim"),),
    training_settings={"layerdrop": 0.0},
    rules=_tensors,
    heads=(
        Head("VanillaDecoderModel", "OPTModel", base=True),
        Head(
            "VanillaDecoderForCausalLM",
            "OPTForCausalLM",
            (tensor("lm_head.weight", "lm_head.weight"),),
            language_model=True,
        ),
        Head(
            "VanillaDecoderForSequenceClassification",
            "OPTForSequenceClassification",
            SCORE,
        ),
        Head("VanillaDecoderForQuestionAnswering", "OPTForQuestionAnswering", module("qa_outputs", "qa_outputs")),
    ),
    notes="OPT has no dropout on its embeddings; ours has.",
)
