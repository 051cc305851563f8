"""Marian (Junczys-Dowmunt et al. 2018): the paper's model with sines in the first half, cosines in the second half."""

from __future__ import annotations

from ..family import Family
from .fairseq_names import (
    ENCODER_DECODER_EQUAL,
    ENCODER_DECODER_FIELDS,
    ENCODER_DECODER_REQUIRED,
    FINAL_LOGITS_BIAS,
    LAYER_DROP,
    encoder_decoder_heads,
    encoder_decoder_tensors,
    shared_embeddings,
)

__all__ = ["MARIAN"]

MARIAN = Family(
    model_type="marian",
    stack="vanilla_transformer",
    config_class="MarianConfig",
    base_prefix="model.",
    fields=ENCODER_DECODER_FIELDS,
    constants={
        "norm_first": False,
        "position_embedding_type": "sinusoidal_concat",
        "position_offset": 0,
        "layernorm_embedding": False,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-5,
    },
    head_constants={"lm_head_transform": False},
    import_constants={"lm_head_bias": True},
    required_values=ENCODER_DECODER_REQUIRED,
    equal=(*ENCODER_DECODER_EQUAL, ("vocab_size", "decoder_vocab_size")),
    training_settings=LAYER_DROP,
    derived={"share_encoder_decoder_embeddings": shared_embeddings},
    written={"share_encoder_decoder_embeddings": lambda ours: ours.share_encoder_decoder_embeddings},
    rules=encoder_decoder_tensors,
    heads=encoder_decoder_heads("MarianModel", "MarianMTModel", FINAL_LOGITS_BIAS),
)
