"""Which of our models each Auto class of transformers finds: one table, for this process and for published folders."""

from __future__ import annotations

import transformers
from transformers import AutoConfig

from .configuration_vanilla import VanillaConfig, VanillaDecoderConfig, VanillaEncoderConfig, VanillaTransformerConfig
from .modeling_vanilla_decoder import (
    VanillaDecoderForCausalLM,
    VanillaDecoderForQuestionAnswering,
    VanillaDecoderForSequenceClassification,
    VanillaDecoderForTokenClassification,
    VanillaDecoderModel,
)
from .modeling_vanilla_encoder import (
    VanillaEncoderForMaskedLM,
    VanillaEncoderForMultipleChoice,
    VanillaEncoderForPreTraining,
    VanillaEncoderForQuestionAnswering,
    VanillaEncoderForSequenceClassification,
    VanillaEncoderForTokenClassification,
    VanillaEncoderModel,
)
from .modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, VanillaTransformerModel
from .stack_vanilla import VanillaPreTrainedModel

AUTO_CLASSES: dict[type[VanillaConfig], dict[str, type[VanillaPreTrainedModel]]] = {
    VanillaEncoderConfig: {
        "AutoModel": VanillaEncoderModel,
        "AutoModelForPreTraining": VanillaEncoderForPreTraining,
        "AutoModelForMaskedLM": VanillaEncoderForMaskedLM,
        "AutoModelForSequenceClassification": VanillaEncoderForSequenceClassification,
        "AutoModelForTokenClassification": VanillaEncoderForTokenClassification,
        "AutoModelForQuestionAnswering": VanillaEncoderForQuestionAnswering,
        "AutoModelForMultipleChoice": VanillaEncoderForMultipleChoice,
    },
    VanillaDecoderConfig: {
        "AutoModel": VanillaDecoderModel,
        "AutoModelForCausalLM": VanillaDecoderForCausalLM,
        "AutoModelForSequenceClassification": VanillaDecoderForSequenceClassification,
        "AutoModelForTokenClassification": VanillaDecoderForTokenClassification,
        "AutoModelForQuestionAnswering": VanillaDecoderForQuestionAnswering,
    },
    VanillaTransformerConfig: {
        "AutoModel": VanillaTransformerModel,
        "AutoModelForSeq2SeqLM": VanillaTransformerForConditionalGeneration,
    },
}


def register_auto_classes() -> None:
    """Make `AutoConfig` and `AutoModel…` of this process know our models. Calling it again changes nothing."""
    for config_class, models in AUTO_CLASSES.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        for auto_class, model_class in models.items():
            getattr(transformers, auto_class).register(config_class, model_class, exist_ok=True)
