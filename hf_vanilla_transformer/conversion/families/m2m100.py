"""M2M100 (Fan et al. 2021): pre-norm encoder-decoder; tensor2tensor's sinusoids, counted from row 2 over tokens."""

from __future__ import annotations

from functools import partial

from ..family import Family, Requirement
from .fairseq_names import (
    ENCODER_DECODER_EQUAL,
    ENCODER_DECODER_FIELDS,
    LAYER_DROP,
    SHARED_WITH_TIE,
    encoder_decoder_heads,
    encoder_decoder_tensors,
    shared_embeddings,
)

__all__ = ["M2M100"]

M2M100 = Family(
    model_type="m2m_100",
    stack="vanilla_transformer",
    config_class="M2M100Config",
    base_prefix="model.",
    fields=ENCODER_DECODER_FIELDS,
    constants={
        "norm_first": True,
        "position_embedding_type": "sinusoidal_t2t",
        "layernorm_embedding": False,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-5,
    },
    head_constants={"lm_head_bias": False, "lm_head_transform": False},
    positions_from_mask=True,
    required_values={"is_encoder_decoder": True},
    equal=ENCODER_DECODER_EQUAL,
    training_settings=LAYER_DROP,
    derived={
        "share_encoder_decoder_embeddings": shared_embeddings,
        "position_offset": lambda config: config.pad_token_id + 1,
    },
    requirements=(
        SHARED_WITH_TIE,
        Requirement(
            "position_offset",
            "pad_token_id + 1",
            lambda ours: ours.pad_token_id is not None and ours.position_offset == ours.pad_token_id + 1,
        ),
    ),
    rules=partial(encoder_decoder_tensors, norm_first=True),
    heads=encoder_decoder_heads("M2M100Model", "M2M100ForConditionalGeneration", ()),
)
