"""Builds the model of a recipe, with the vocabulary and the special tokens of its tokenizer."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..conversion.safe_loading import load_pretrained
from ..model_folders import model_folder
from ..models.configuration_vanilla import VanillaDecoderConfig, VanillaEncoderConfig, VanillaTransformerConfig
from ..models.modeling_vanilla_decoder import VanillaDecoderForCausalLM
from ..models.modeling_vanilla_encoder import VanillaEncoderForMaskedLM
from ..models.modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from ..predecessors.configuration_predecessor import PredecessorConfig
from ..predecessors.modeling_predecessor import PredecessorForConditionalGeneration
from .recipes.objective import ENCODER_DECODER, extra_tokens
from .recipes.reading import nearest
from .recipes.training_recipe import Recipe

logger = logging.getLogger(__name__)

CLASSES = {
    "translation": (VanillaTransformerConfig, VanillaTransformerForConditionalGeneration),
    "masked_lm": (VanillaEncoderConfig, VanillaEncoderForMaskedLM),
    "causal_lm": (VanillaDecoderConfig, VanillaDecoderForCausalLM),
    "denoising": (VanillaTransformerConfig, VanillaTransformerForConditionalGeneration),
    "span": (VanillaTransformerConfig, VanillaTransformerForConditionalGeneration),
}

PREDECESSOR_CLASSES = (PredecessorConfig, PredecessorForConditionalGeneration)

# Set from the tokenizer, so that model and tokenizer always agree.
_FROM_TOKENIZER = {"vocab_size", "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"}


def presets(config_class: type) -> list[str]:
    """Names of the presets of a configuration class: the public class methods that it defines."""
    return sorted(
        name
        for name, member in vars(config_class).items()
        if isinstance(member, classmethod) and not name.startswith("_")
    )


def classes_of(recipe: Recipe) -> tuple[type, type[PreTrainedModel]]:
    """Configuration and model class of a recipe: those of its task, or of a predecessor that `model.preset` names."""
    if recipe.task == "translation" and recipe.model.preset in presets(PredecessorConfig):
        return PREDECESSOR_CLASSES
    return CLASSES[recipe.task]


def check_model(recipe: Recipe) -> None:
    """Raises ValueError for an unknown preset or configuration field, with the nearest name."""
    config_class, _ = classes_of(recipe)
    if recipe.model.start_from is None and recipe.model.preset not in presets(config_class):
        raise ValueError(
            f"model.preset={recipe.model.preset!r} is not a preset of {config_class.__name__}, which task="
            f"{recipe.task!r} uses. {nearest(recipe.model.preset, presets(config_class))}"
        )
    legal = {entry.name for entry in dataclasses.fields(config_class)} | set(config_class.attribute_map)
    for name in recipe.model.config:
        if name in _FROM_TOKENIZER:
            raise ValueError(f"model.config.{name} is set from the tokenizer; remove it (see tokenizer.vocab_size).")
        if name not in legal:
            close = difflib.get_close_matches(name, legal, n=1, cutoff=0.5)
            hint = f"Did you mean {close[0]!r}?" if close else f"See {config_class.__name__} for its fields."
            raise ValueError(f"Unknown key 'model.config.{name}'. {hint}")


def build_config(recipe: Recipe, vocabulary: dict[str, int | None]) -> Any:
    """The configuration: the preset, overridden by the recipe's fields and by the tokenizer's vocabulary."""
    check_model(recipe)
    config_class, _ = classes_of(recipe)
    fields = {**recipe.model.config, **vocabulary}
    try:
        return getattr(config_class, recipe.model.preset)(**fields)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise ValueError(f"The model of the recipe cannot be built: {error.__cause__ or error}") from error


def vocabulary_of(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> dict[str, int | None]:
    """The fields of the configuration that are set from the tokenizer."""
    if tokenizer.pad_token_id is None:
        raise ValueError("The tokenizer has no padding token; set one, for example tokenizer.pad_token = '<pad>'.")
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if recipe.task in ENCODER_DECODER:
        if tokenizer.bos_token_id is None or tokenizer.eos_token_id is None:
            raise ValueError(
                f"The tokenizer of task={recipe.task!r} needs a start and an end token (bos_token and eos_token), but "
                f"has bos_token={tokenizer.bos_token!r} and eos_token={tokenizer.eos_token!r}."
            )
        ids["decoder_start_token_id"] = tokenizer.bos_token_id
    return ids


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, *, device: str | None = None) -> PreTrainedModel:
    """A new model with random weights, or the model of ``model.start_from``.

    Args:
        recipe: decides the model.
        tokenizer: decides the vocabulary.
        device: ``meta`` makes a model without weights, to count its parameters.

    Raises:
        ValueError: a configuration field is wrong, or the model of ``model.start_from`` has fewer tokens than the
            tokenizer.
    """
    _, model_class = classes_of(recipe)
    if recipe.model.start_from is not None:
        start = model_folder(recipe.model.start_from)
        model = load_pretrained(model_class, start, attn_implementation=recipe.model.attn_implementation)
        extra = extra_tokens(recipe.task, recipe.objective)
        if model.config.vocab_size < len(tokenizer) <= model.config.vocab_size + len(extra):
            logger.info("Adding %d embeddings for %s ...", len(tokenizer) - model.config.vocab_size, extra[0])
            model.resize_token_embeddings(len(tokenizer))
        if model.config.vocab_size < len(tokenizer):
            raise ValueError(
                f"model.start_from={recipe.model.start_from!r} has {model.config.vocab_size} tokens, the tokenizer has "
                f"{len(tokenizer)}: use the model's own tokenizer, --tokenizer.path {recipe.model.start_from}."
            )
    else:
        config = build_config(recipe, vocabulary_of(recipe, tokenizer))
        config._attn_implementation = recipe.model.attn_implementation
        with torch.device(device or "cpu"):
            model = model_class(config)
    if recipe.task in ENCODER_DECODER:
        _set_generation(recipe, model)
    return model


def _set_generation(recipe: Recipe, model: PreTrainedModel) -> None:
    """Sets the recipe's search in the generation config of the saved model, as far as it has fields for it."""
    generation = recipe.generation
    model.generation_config.num_beams = generation.num_beams
    if generation.num_beams > 1:  # transformers refuses to save a greedy configuration with a field of beam search
        model.generation_config.length_penalty = generation.length_penalty
        model.generation_config.early_stopping = "never"
    # Without a limit transformers stops after 20 tokens; `translate` sets a limit for each sentence.
    model.generation_config.max_new_tokens = min(256, model.config.max_position_embeddings - 1)


__all__ = ["CLASSES", "build_config", "build_model", "check_model", "classes_of", "presets", "vocabulary_of"]
