"""The collator of each task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedTokenizerBase

from ..data import (
    CausalLanguageModelingCollator,
    DenoisingCollator,
    MaskedLanguageModelingCollator,
    SpanCorruptionCollator,
    TranslationCollator,
)
from ..device import default_device
from .recipes.objective import mask_probability, mean_span_length
from .recipes.training_recipe import Recipe


def collator(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Callable[[list], dict[str, torch.Tensor]]:
    """The collator of the recipe's task."""
    limit, packed, objective = recipe.data.max_length, recipe.data.packing, recipe.objective
    # On CPU, attention handles packed rows sequence by sequence, so one row holds the entire batch without padding.
    # Elsewhere attention may cost the square of the row length, so a row is at most as long as one sequence.
    one_row = default_device().type == "cpu" and recipe.model.attn_implementation == "sdpa"
    packing = {"packing": True, "row_length": None if one_row else limit} if packed else {}
    if recipe.task == "translation":
        return TranslationCollator(tokenizer, **packing)
    if recipe.task == "causal_lm":
        return CausalLanguageModelingCollator(tokenizer, limit, packing=packed)
    masking = {
        "mask_probability": mask_probability(recipe.task, recipe.objective),
        "mean_span_length": mean_span_length(recipe.task, recipe.objective),
    }
    if recipe.task == "denoising":
        return DenoisingCollator(
            tokenizer, limit, permute_sentences=objective.permute_sentences, packing=packed, **masking
        )
    if recipe.task == "span":
        return SpanCorruptionCollator(tokenizer, limit, packing=packed, **masking)
    shares = {"mask_share": 1.0, "random_share": 0.0} if objective.replacement == "all" else {}
    return MaskedLanguageModelingCollator(
        tokenizer, unit=objective.unit, max_span_length=objective.max_span_length, **masking, **shares, **packing
    )
