"""BioGPT (Luo et al. 2022): GPT-2 as fairseq builds it, with scaled embeddings and two spare position rows."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head
from ..tensor_rules import Rule, layers, module, tensor
from .fairseq_names import DECODER_ONLY_LAYER, FAIRSEQ_POSITIONS
from .gpt2 import GPT2, SCORE

__all__ = ["BIOGPT"]


def _tensors(config: Any) -> tuple[Rule, ...]:
    return (
        tensor("embed_tokens.weight", "embed_tokens.weight"),
        FAIRSEQ_POSITIONS,
        *layers(config.num_hidden_layers, DECODER_ONLY_LAYER, "layers.{}.", "layers.{}."),
        *module("norm", "layer_norm"),
    )


BIOGPT = Family(
    model_type="biogpt",
    stack="vanilla_decoder",
    config_class="BioGptConfig",
    base_prefix="biogpt.",
    fields=(
        Field("vocab_size", "vocab_size"),
        Field("hidden_size", "hidden_size"),
        Field("num_hidden_layers", "num_hidden_layers"),
        Field("num_attention_heads", "num_attention_heads"),
        Field("intermediate_size", "intermediate_size"),
        Field("hidden_act", "hidden_act"),
        Field("dropout", "hidden_dropout_prob"),
        Field("attention_dropout", "attention_probs_dropout_prob"),
        Field("activation_dropout", "activation_dropout"),
        Field("max_position_embeddings", "max_position_embeddings"),
        Field("initializer_range", "initializer_range"),
        Field("scale_embedding", "scale_embedding"),
        Field("pad_token_id", "pad_token_id"),
        Field("bos_token_id", "bos_token_id"),
        Field("eos_token_id", "eos_token_id"),
        Field("tie_word_embeddings", "tie_word_embeddings"),
        Field("use_cache", "use_cache"),
    ),
    # BioGPT ignores its layer_norm_eps: all norms use torch's default.
    constants={name: value for name, value in GPT2.constants.items() if name != "scale_embedding"}
    | {"layer_norm_eps": 1e-5},
    head_constants=GPT2.head_constants,
    # BioGptConfig has no such field, but BioGptForTokenClassification reads it.
    derived={"classifier_dropout": lambda config: getattr(config, "classifier_dropout", None)},
    written={"classifier_dropout": lambda ours: ours.classifier_dropout},
    training_settings={"layerdrop": 0.0},
    rules=_tensors,
    heads=(
        Head("VanillaDecoderModel", "BioGptModel", base=True),
        Head(
            "VanillaDecoderForCausalLM",
            "BioGptForCausalLM",
            (tensor("lm_head.weight", "output_projection.weight"),),
            language_model=True,
        ),
        Head("VanillaDecoderForSequenceClassification", "BioGptForSequenceClassification", SCORE),
        Head(
            "VanillaDecoderForTokenClassification", "BioGptForTokenClassification", module("classifier", "classifier")
        ),
    ),
)
