"""Speech2Text (Wang et al. 2020): pre-norm encoder-decoder behind convolutions that subsample log-mel frames."""

from __future__ import annotations

from typing import Any

from transformers import Speech2TextConfig

from ..family import Family, Field, Head, Requirement
from ..tensor_rules import Rule, layers, module, tensor, within
from .fairseq_names import (
    DECODER_LAYER,
    DECODER_ONLY_LAYER,
    ENCODER_DECODER_EQUAL,
    ENCODER_DECODER_FIELDS,
    LAYER_DROP,
)

__all__ = ["SPEECH_TO_TEXT"]


def _tensors(config: Any) -> tuple[Rule, ...]:
    """The rules of both stacks. The encoder has convolutions in place of a table of tokens."""
    rules = [tensor("decoder.embed_tokens.weight", "decoder.embed_tokens.weight")]
    for index in range(config.num_conv_layers):
        rules.extend(module(f"encoder.subsampler.convolutions.{index}", f"encoder.conv.conv_layers.{index}"))
    for stack, count, layer in (
        ("encoder", config.encoder_layers, DECODER_ONLY_LAYER),
        ("decoder", config.decoder_layers, DECODER_LAYER),
    ):
        stack_rules = (*module("norm", "layer_norm"), *layers(count, layer, "layers.{}.", "layers.{}."))
        rules.extend(within(stack_rules, f"{stack}.", f"{stack}."))
    return tuple(rules)


def _source_positions(ours: Any) -> int:
    """Theirs limit nothing: both tables of sinusoids grow. Only the longer one is in our configuration."""
    return max(Speech2TextConfig.max_source_positions, ours.max_position_embeddings)


SPEECH_TO_TEXT = Family(
    model_type="speech_to_text",
    stack="vanilla_transformer",
    config_class="Speech2TextConfig",
    base_prefix="model.",
    fields=(
        *(field for field in ENCODER_DECODER_FIELDS if field.ours != "max_position_embeddings"),
        Field("max_position_embeddings", "max_target_positions"),
        Field("num_mel_bins", "input_feat_per_channel"),
        Field("conv_channels", "conv_channels"),
        Field("conv_kernel_sizes", "conv_kernel_sizes", tuple, tuple),
    ),
    constants={
        "norm_first": True,
        "position_embedding_type": "sinusoidal_t2t",
        "position_offset": 2,
        "layernorm_embedding": False,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-5,
        "mask_convolutions": False,
    },
    head_constants={"lm_head_bias": False, "lm_head_transform": False},
    positions_from_mask=True,
    # The encoder of transformers finds its positions by comparing a mask of padding with pad_token_id.
    required_values={"is_encoder_decoder": True, "pad_token_id": 1, "input_channels": 1},
    equal=ENCODER_DECODER_EQUAL,
    only_eager=True,
    training_settings=LAYER_DROP,
    written={
        "num_conv_layers": lambda ours: len(ours.conv_kernel_sizes),
        "max_source_positions": _source_positions,
    },
    requirements=(Requirement("pad_token_id", "1", lambda ours: ours.pad_token_id == 1),),
    rules=_tensors,
    heads=(
        Head("VanillaTransformerSpeechModel", "Speech2TextModel", base=True),
        Head(
            "VanillaTransformerForSpeechSeq2Seq",
            "Speech2TextForConditionalGeneration",
            (tensor("lm_head.weight", "lm_head.weight"),),
            language_model=True,
        ),
    ),
)
