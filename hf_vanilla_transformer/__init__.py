"""The Transformer of "Attention Is All You Need", its encoder and its decoder as Hugging Face models.

Once the package is imported, the Auto classes of transformers load its models (`AutoModel….from_pretrained`), and
`transformers.pipeline` has its pipelines. It imports neither transformers nor torch: the models are registered as soon
as the Auto classes are imported, and the names below are imported when they are first used.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hooks import after_import
from .lazy_names import lazy_names
from .models.decoding_loop_vanilla import register_decoding_loop
from .models.encoding_vanilla import register_encoder_layers
from .pipelines.task_registry import register_pipelines

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
        [
            "VanillaTransformerForConditionalGeneration",
            "VanillaTransformerForSpeechSeq2Seq",
            "VanillaTransformerModel",
            "VanillaTransformerSpeechModel",
        ],
        "models.modeling_vanilla_transformer",
    ),
    "PredecessorConfig": "predecessors.configuration_predecessor",
    **dict.fromkeys(["PredecessorForConditionalGeneration", "PredecessorModel"], "predecessors.modeling_predecessor"),
    "VanillaFeatureExtractor": "models.feature_extraction_vanilla",
    **dict.fromkeys(["from_checkpoint", "from_transformers", "to_transformers"], "conversion"),
    **dict.fromkeys(["from_stock", "to_stock"], "conversion.former_names"),
    "explain": "interpretation",
    "export_to": "conversion.exports",
    "lower_precision": "inference.low_precision",
    "lora_targets": "training.lora",
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _MODULE_OF_NAME)
__all__ += ["__version__"]


def _register_models(_: ModuleType) -> None:
    from .models.registration import register_auto_classes
    from .predecessors.registration import register_predecessors

    register_auto_classes()
    register_predecessors()


def _decode(*args: Any, **kwargs: Any) -> Any:
    from .generation.decoding_loop import decode

    return decode(*args, **kwargs)


def _encode(*args: Any, **kwargs: Any) -> Any:
    from .inference.flat_encoder import encode

    return encode(*args, **kwargs)


register_decoding_loop(_decode)
register_encoder_layers(_encode)
after_import("transformers.models.auto.configuration_auto", _register_models)
after_import("transformers.pipelines", register_pipelines)
