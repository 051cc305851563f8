"""BART (Lewis et al. 2020): post-norm encoder-decoder, learned positions, a norm on the embeddings."""

from __future__ import annotations

from functools import partial

from ..family import Family
from .fairseq_names import (
    ENCODER_DECODER_EQUAL,
    ENCODER_DECODER_FIELDS,
    ENCODER_DECODER_REQUIRED,
    FINAL_LOGITS_BIAS,
    LAYER_DROP,
    SHARED_WITH_TIE,
    encoder_decoder_heads,
    encoder_decoder_tensors,
    shared_embeddings,
)

__all__ = ["BART"]

BART = Family(
    model_type="bart",
    stack="vanilla_transformer",
    config_class="BartConfig",
    base_prefix="model.",
    fields=ENCODER_DECODER_FIELDS,
    constants={
        "norm_first": False,
        "position_embedding_type": "learned",
        "layernorm_embedding": True,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-5,
    },
    head_constants={"lm_head_transform": False},
    import_constants={"lm_head_bias": True},
    required_values=ENCODER_DECODER_REQUIRED,
    equal=ENCODER_DECODER_EQUAL,
    training_settings=LAYER_DROP,
    derived={"share_encoder_decoder_embeddings": shared_embeddings},
    requirements=(SHARED_WITH_TIE,),
    rules=partial(encoder_decoder_tensors, learned_positions=True, layernorm_embedding=True),
    heads=encoder_decoder_heads("BartModel", "BartForConditionalGeneration", FINAL_LOGITS_BIAS),
)
