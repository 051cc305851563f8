"""FSMT (Ng et al. 2019, fairseq's WMT19 models): M2M100 with post-norm and another name of the output matrix."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..family import Family, Field, Head
from ..tensor_rules import tensor
from .fairseq_names import ENCODER_DECODER_FIELDS, ENCODER_DECODER_REQUIRED, encoder_decoder_tensors
from .m2m100 import M2M100

__all__ = ["FSMT"]

FSMT: Family = replace(
    M2M100,
    model_type="fsmt",
    config_class="FSMTConfig",
    fields=tuple(
        Field("vocab_size", "tgt_vocab_size") if field.ours == "vocab_size" else field
        for field in ENCODER_DECODER_FIELDS
    ),
    constants=M2M100.constants | {"norm_first": False},
    required_values=ENCODER_DECODER_REQUIRED,
    equal=(*M2M100.equal, ("tgt_vocab_size", "src_vocab_size")),
    only_eager=True,
    rules=partial(encoder_decoder_tensors, shared_matrix=False),
    # Before transformers 5, the output matrix was always the target embeddings.
    copies={"model.decoder.output_projection.weight": "model.decoder.embed_tokens.weight"},
    # FSMTModel returns logits as hidden states, so our base model does not correspond to it.
    heads=(
        Head(
            "VanillaTransformerForConditionalGeneration",
            "FSMTForConditionalGeneration",
            (tensor("lm_head.weight", "model.decoder.output_projection.weight"),),
            language_model=True,
        ),
    ),
)
