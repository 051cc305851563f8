"""RoBERTa (Liu et al. 2019): BERT with positions counted from the first token that is not padding.

XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin et al. 2020) are the same model with other weights.
"""

from __future__ import annotations

from typing import Any

from ..family import Family, Head, Requirement
from ..tensor_rules import Repeat, Rule, SkipRows, module, tensor
from .bert import BERT, BERT_FIELDS, ONE_WIDTH, bert_tensors

__all__ = ["CAMEMBERT", "ROBERTA", "XLM_ROBERTA"]

# RoBERTa's language-model head always uses GELU, hence the head constant below.
MASKED_LM = (
    *module("lm_head_transform.dense", "lm_head.dense"),
    *module("lm_head_transform.norm", "lm_head.layer_norm"),
    tensor("lm_head.weight", "lm_head.decoder.weight"),
    Rule(("lm_head.bias",), ("lm_head.decoder.bias", "lm_head.bias"), Repeat(2), zero_if_absent=True),
)
# BERT's pooler and classifier, both in the head.
SENTENCE = (*module("model.pooler.dense", "classifier.dense"), *module("classifier", "classifier.out_proj"))
CLASSIFIER = module("classifier", "classifier")
SPAN = module("qa_outputs", "qa_outputs")


def _tensors(config: Any) -> tuple[Rule, ...]:
    positions = tensor("embed_positions.weight", "embeddings.position_embeddings.weight", SkipRows())
    return bert_tensors(config, positions)


def _family(model_type: str, name: str) -> Family:
    """A family with the classes `{name}Model`, `{name}ForMaskedLM`, and so on."""
    return Family(
        model_type=model_type,
        stack="vanilla_encoder",
        config_class=f"{name}Config",
        base_prefix="roberta.",
        fields=BERT_FIELDS,
        constants=BERT.constants,
        head_constants=BERT.head_constants | {"hidden_act": "gelu"},
        import_constants=BERT.import_constants,
        training_constants=BERT.training_constants,
        positions_from_mask=True,
        required_values=BERT.required_values,
        derived={"max_position_embeddings": lambda config: config.max_position_embeddings - config.pad_token_id - 1},
        written={"max_position_embeddings": lambda ours: ours.max_position_embeddings + ours.pad_token_id + 1},
        requirements=(
            ONE_WIDTH,
            Requirement(
                "pad_token_id", "an id, because positions depend on it", lambda ours: ours.pad_token_id is not None
            ),
        ),
        rules=_tensors,
        heads=(
            Head("VanillaEncoderModel", f"{name}Model", base=True, pooler=True),
            Head("VanillaEncoderForMaskedLM", f"{name}ForMaskedLM", MASKED_LM, language_model=True),
            Head("VanillaEncoderForSequenceClassification", f"{name}ForSequenceClassification", SENTENCE),
            Head("VanillaEncoderForTokenClassification", f"{name}ForTokenClassification", CLASSIFIER),
            Head("VanillaEncoderForQuestionAnswering", f"{name}ForQuestionAnswering", SPAN),
            Head("VanillaEncoderForMultipleChoice", f"{name}ForMultipleChoice", CLASSIFIER, pooler=True),
        ),
        notes=f"{name}ForSequenceClassification also drops out the input of its classifier.dense, our pooler does not.",
    )


ROBERTA = _family("roberta", "Roberta")
XLM_ROBERTA = _family("xlm-roberta", "XLMRoberta")
CAMEMBERT = _family("camembert", "Camembert")
