"""ELECTRA (Clark et al. 2020): BERT without a pooler, trained to detect replaced tokens; its sentence head uses GELU.

The encoder of the discriminator is converted, but not its head. The embeddings of the small models
are narrower than their layers (`embedding_size`), with a map between them.
"""

from __future__ import annotations

from typing import Any

from ..family import Family, Head
from ..tensor_rules import Rule, module, tensor
from .bert import BERT, BERT_FIELDS

__all__ = ["ELECTRA"]

# The head of the generator, which always uses GELU.
MASKED_LM = (
    *module("lm_head_transform.dense", "generator_predictions.dense"),
    *module("lm_head_transform.norm", "generator_predictions.LayerNorm"),
    tensor("lm_head.weight", "generator_lm_head.weight"),
    tensor("lm_head.bias", "generator_lm_head.bias", zero_if_absent=True),
)
SENTENCE = (*module("model.pooler.dense", "classifier.dense"), *module("classifier", "classifier.out_proj"))


def _tensors(config: Any) -> tuple[Rule, ...]:
    narrow = config.embedding_size != config.hidden_size
    return (*BERT.rules(config), *(module("embed_projection", "embeddings_project") if narrow else ()))


ELECTRA = Family(
    model_type="electra",
    stack="vanilla_encoder",
    config_class="ElectraConfig",
    base_prefix="electra.",
    fields=BERT_FIELDS,
    constants=BERT.constants,
    head_constants=BERT.head_constants | {"hidden_act": "gelu"},
    import_constants=BERT.import_constants,
    training_constants=BERT.training_constants,
    pooler_act="gelu",
    required_values=BERT.required_values,
    derived={
        "embedding_size": lambda config: None if config.embedding_size == config.hidden_size else config.embedding_size,
    },
    written={"embedding_size": lambda ours: ours.embedding_width},
    rules=_tensors,
    heads=(
        Head("VanillaEncoderModel", "ElectraModel", base=True),
        Head("VanillaEncoderForMaskedLM", "ElectraForMaskedLM", MASKED_LM, language_model=True),
        Head("VanillaEncoderForSequenceClassification", "ElectraForSequenceClassification", SENTENCE),
        Head(
            "VanillaEncoderForTokenClassification", "ElectraForTokenClassification", module("classifier", "classifier")
        ),
        Head("VanillaEncoderForQuestionAnswering", "ElectraForQuestionAnswering", module("qa_outputs", "qa_outputs")),
    ),
    headless=("ElectraForPreTraining",),
    notes="ElectraForSequenceClassification also drops out the input of its classifier.dense, our pooler does not.",
)
