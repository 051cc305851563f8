"""The Transformer of "Attention Is All You Need", its encoder and its decoder as Hugging Face models.

Importing the package registers the models with the Auto classes of transformers, so that `AutoModel….from_pretrained`
loads them, and the pipelines with `transformers.pipeline`. The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from .models.registration import register_auto_classes
from .pipelines.task_registry import register_when_imported

__version__ = "0.1.0"

_MODULE_OF_NAME = {
    **dict.fromkeys(
        ["VanillaDecoderConfig", "VanillaEncoderConfig", "VanillaTransformerConfig"], "models.configuration_vanilla"
    ),
    **dict.fromkeys(
        [
            "VanillaEncoderForMaskedLM",
            "VanillaEncoderForMultipleChoice",
            "VanillaEncoderForPreTraining",
            "VanillaEncoderForQuestionAnswering",
            "VanillaEncoderForSequenceClassification",
            "VanillaEncoderForTokenClassification",
            "VanillaEncoderModel",
        ],
        "models.modeling_vanilla_encoder",
    ),
    "VanillaEncoderForDependencyParsing": "models.modeling_vanilla_parsing",
    **dict.fromkeys(
        [
            "VanillaDecoderForCausalLM",
            "VanillaDecoderForQuestionAnswering",
            "VanillaDecoderForSequenceClassification",
            "VanillaDecoderForTokenClassification",
            "VanillaDecoderModel",
        ],
        "models.modeling_vanilla_decoder",
    ),
    **dict.fromkeys(
        ["VanillaTransformerForConditionalGeneration", "VanillaTransformerModel"], "models.modeling_vanilla_transformer"
    ),
    **dict.fromkeys(["from_checkpoint", "from_transformers", "to_transformers"], "conversion"),
    "export_to": "conversion.exports",
    "lora_targets": "training.lora",
}

__all__ = [*sorted(_MODULE_OF_NAME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF_NAME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_MODULE_OF_NAME]


register_auto_classes()
register_when_imported()
