"""GPT-2 (Radford et al. 2019): pre-norm decoder, learned positions, weights stored as (in, out), q, k, v fused."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head
from ..tensor_rules import Rule, conv1d, layers, module, tensor

__all__ = ["GPT2", "GPT_FIELDS", "SCORE", "gpt_layer"]

# GPT and GPT-2 have the same names of these fields.
GPT_FIELDS = (
    Field("vocab_size", "vocab_size"),
    Field("hidden_size", "n_embd"),
    Field("num_hidden_layers", "n_layer"),
    Field("num_attention_heads", "n_head"),
    Field("dropout", "resid_pdrop"),
    Field("attention_dropout", "attn_pdrop"),
    Field("max_position_embeddings", "n_positions"),
    Field("initializer_range", "initializer_range"),
    Field("layer_norm_eps", "layer_norm_epsilon"),
    Field("pad_token_id", "pad_token_id"),
    Field("bos_token_id", "bos_token_id"),
    Field("eos_token_id", "eos_token_id"),
    Field("tie_word_embeddings", "tie_word_embeddings"),
)


def gpt_layer(attention_norm: str, mlp_norm: str) -> tuple[Rule, ...]:
    """The rules of a layer of GPT or GPT-2, which use the same numbers for norms in different places."""
    return (
        *conv1d(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "attn.c_attn"),
        *conv1d("self_attn.o_proj", "attn.c_proj"),
        *module("self_attn_norm", attention_norm),
        *conv1d("mlp.fc1", "mlp.c_fc"),
        *conv1d("mlp.fc2", "mlp.c_proj"),
        *module("mlp_norm", mlp_norm),
    )


def _tensors(config: Any) -> tuple[Rule, ...]:
    return (
        tensor("embed_tokens.weight", "wte.weight"),
        tensor("embed_positions.weight", "wpe.weight"),
        *layers(config.num_hidden_layers, gpt_layer("ln_1", "ln_2"), "layers.{}.", "h.{}."),
        *module("norm", "ln_f"),
    )


# GPT2Config has no such field, but GPT2ForTokenClassification reads it.
def _classifier_dropout(config: Any) -> float:
    dropout = getattr(config, "classifier_dropout", None)
    return 0.1 if dropout is None else dropout


SCORE = (tensor("classifier.weight", "score.weight"),)

GPT2 = Family(
    model_type="gpt2",
    stack="vanilla_decoder",
    config_class="GPT2Config",
    base_prefix="transformer.",
    fields=(
        *GPT_FIELDS,
        Field("hidden_act", "activation_function"),
        Field("use_cache", "use_cache"),
    ),
    constants={
        "norm_first": True,
        "position_embedding_type": "learned",
        "layernorm_embedding": False,
        "scale_embedding": False,
        "type_vocab_size": 0,
        "add_cross_attention": False,
    },
    head_constants={"lm_head_bias": False, "lm_head_transform": False},
    training_constants={"activation_dropout": 0.0},
    required_values={
        "add_cross_attention": False,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
    },
    derived={
        "intermediate_size": lambda config: config.n_inner or 4 * config.n_embd,
        "classifier_dropout": _classifier_dropout,
    },
    written={
        "n_inner": lambda ours: ours.intermediate_size,
        "classifier_dropout": lambda ours: ours.dropout if ours.classifier_dropout is None else ours.classifier_dropout,
    },
    equal_in_training=(("resid_pdrop", "embd_pdrop"),),
    rules=_tensors,
    heads=(
        Head("VanillaDecoderModel", "GPT2Model", base=True),
        Head(
            "VanillaDecoderForCausalLM",
            "GPT2LMHeadModel",
            (tensor("lm_head.weight", "lm_head.weight"),),
            language_model=True,
        ),
        Head(
            "VanillaDecoderForSequenceClassification",
            "GPT2ForSequenceClassification",
            SCORE,
        ),
        Head("VanillaDecoderForTokenClassification", "GPT2ForTokenClassification", module("classifier", "classifier")),
        Head("VanillaDecoderForQuestionAnswering", "GPT2ForQuestionAnswering", module("qa_outputs", "qa_outputs")),
    ),
)
