"""mBART (Liu et al. 2020): BART with pre-norm and a norm at the end of each stack.

With labels only, MBartForConditionalGeneration starts each target with its last token (the language); ours starts with
`decoder_start_token_id`. So pass `decoder_input_ids` (transformers' mBART tokenizers and collators create them).
"""

from __future__ import annotations

from functools import partial

from ..family import Family
from .bart import BART
from .fairseq_names import FINAL_LOGITS_BIAS, encoder_decoder_heads, encoder_decoder_tensors

__all__ = ["MBART"]

MBART = Family(
    model_type="mbart",
    stack="vanilla_transformer",
    config_class="MBartConfig",
    base_prefix="model.",
    fields=BART.fields,
    constants=BART.constants | {"norm_first": True},
    head_constants=BART.head_constants,
    import_constants=BART.import_constants,
    required_values=BART.required_values,
    equal=BART.equal,
    training_settings=BART.training_settings,
    derived=BART.derived,
    requirements=BART.requirements,
    rules=partial(encoder_decoder_tensors, learned_positions=True, layernorm_embedding=True, norm_first=True),
    heads=encoder_decoder_heads("MBartModel", "MBartForConditionalGeneration", FINAL_LOGITS_BIAS),
)
