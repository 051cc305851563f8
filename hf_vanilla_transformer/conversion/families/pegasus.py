"""Pegasus (Zhang et al. 2020): Marian with pre-norm. Pre-norm models with the paper's sinusoids are exported to it."""

from __future__ import annotations

from functools import partial

from ..family import Family
from .fairseq_names import (
    ENCODER_DECODER_EQUAL,
    ENCODER_DECODER_FIELDS,
    FINAL_LOGITS_BIAS,
    SHARED_WITH_TIE,
    encoder_decoder_heads,
    encoder_decoder_tensors,
    shared_embeddings,
)
from .marian import MARIAN

__all__ = ["PEGASUS"]

PEGASUS = Family(
    model_type="pegasus",
    stack="vanilla_transformer",
    config_class="PegasusConfig",
    base_prefix="model.",
    fields=tuple(field for field in ENCODER_DECODER_FIELDS if field.ours != "bos_token_id"),
    constants=MARIAN.constants | {"norm_first": True},
    head_constants=MARIAN.head_constants,
    import_constants=MARIAN.import_constants,
    required_values=MARIAN.required_values,
    equal=ENCODER_DECODER_EQUAL,
    training_settings=MARIAN.training_settings,
    derived={"share_encoder_decoder_embeddings": shared_embeddings},
    requirements=(SHARED_WITH_TIE,),
    rules=partial(encoder_decoder_tensors, norm_first=True),
    heads=encoder_decoder_heads("PegasusModel", "PegasusForConditionalGeneration", FINAL_LOGITS_BIAS),
)
