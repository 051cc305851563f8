"""Registration of our models with the Auto classes of transformers, from the `auto_classes` of each configuration."""

from __future__ import annotations

import importlib

import transformers
from transformers import AutoConfig, AutoFeatureExtractor

from .configuration_vanilla import VanillaConfig, VanillaDecoderConfig, VanillaEncoderConfig, VanillaTransformerConfig
from .feature_extraction_vanilla import VanillaFeatureExtractor
from .stack_vanilla import VanillaPreTrainedModel


def _model_classes(config_class: type[VanillaConfig]) -> dict[str, type[VanillaPreTrainedModel]]:
    classes = {}
    for auto_class, reference in config_class.auto_classes.items():
        if auto_class != "AutoConfig":
            file, name = reference.split(".")
            classes[auto_class] = getattr(importlib.import_module(f".{file}", __package__), name)
    return classes


AUTO_CLASSES: dict[type[VanillaConfig], dict[str, type[VanillaPreTrainedModel]]] = {
    config_class: _model_classes(config_class)
    for config_class in (VanillaEncoderConfig, VanillaDecoderConfig, VanillaTransformerConfig)
}


def register_auto_classes() -> None:
    """Register our models with `AutoConfig` and `AutoModel…` in this process. Another call changes nothing."""
    for config_class, models in AUTO_CLASSES.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        for auto_class, model_class in models.items():
            getattr(transformers, auto_class).register(config_class, model_class, exist_ok=True)
    AutoFeatureExtractor.register(VanillaTransformerConfig, VanillaFeatureExtractor, exist_ok=True)
