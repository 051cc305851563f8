"""GPT (Radford et al. 2018): post-norm decoder with learned positions; names and layout of tensors as in GPT-2."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head, Requirement
from ..tensor_rules import Rule, layers, tensor
from .gpt2 import GPT2, GPT_FIELDS, SCORE, gpt_layer

__all__ = ["GPT1"]

# GPT has its own names of activations: its "gelu" is the tanh approximation, "gelu_new" elsewhere in transformers.
ACTIVATIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"}
ACTIVATIONS_BACK = {"gelu_new": "gelu", "relu": "relu", "silu": "silu", "swish": "silu"}


def _activation_to_ours(name: str) -> str:
    return ACTIVATIONS[name]


def _activation_to_theirs(name: str) -> str:
    if name not in ACTIVATIONS_BACK:
        raise ValueError(f"OpenAIGPTModel supports only {', '.join(ACTIVATIONS_BACK)}")
    return ACTIVATIONS_BACK[name]


def _tensors(config: Any) -> tuple[Rule, ...]:
    return (
        tensor("embed_tokens.weight", "tokens_embed.weight"),
        tensor("embed_positions.weight", "positions_embed.weight"),
        *layers(config.num_hidden_layers, gpt_layer("ln_1", "ln_2"), "layers.{}.", "h.{}."),
    )


GPT1 = Family(
    model_type="openai-gpt",
    stack="vanilla_decoder",
    config_class="OpenAIGPTConfig",
    base_prefix="transformer.",
    fields=(
        *GPT_FIELDS,
        Field("hidden_act", "afn", _activation_to_ours, _activation_to_theirs),
    ),
    constants=GPT2.constants | {"norm_first": False},
    head_constants=GPT2.head_constants,
    training_constants=GPT2.training_constants,
    derived={"intermediate_size": lambda config: 4 * config.n_embd},
    requirements=(
        Requirement(
            "intermediate_size", "four times hidden_size", lambda ours: ours.intermediate_size == 4 * ours.hidden_size
        ),
    ),
    equal_in_training=GPT2.equal_in_training,
    only_eager=True,
    rules=_tensors,
    heads=(
        Head("VanillaDecoderModel", "OpenAIGPTModel", base=True),
        Head(
            "VanillaDecoderForCausalLM",
            "OpenAIGPTLMHeadModel",
            (tensor("lm_head.weight", "lm_head.weight"),),
            language_model=True,
        ),
        Head(
            "VanillaDecoderForSequenceClassification",
            "OpenAIGPTForSequenceClassification",
            SCORE,
        ),
    ),
)
