"""Which collator makes the batches of which task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedTokenizerBase

from ..data import CausalLanguageModelingCollator, MaskedLanguageModelingCollator, TranslationCollator
from .recipe import Recipe


def collator(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Callable[[list], dict[str, torch.Tensor]]:
    """The collator of the recipe's task."""
    if recipe.task == "translation":
        return TranslationCollator(tokenizer, packing=recipe.data.packing)
    if recipe.task == "masked_lm":
        return MaskedLanguageModelingCollator(
            tokenizer, mask_probability=recipe.training.mask_probability, packing=recipe.data.packing
        )
    return CausalLanguageModelingCollator(tokenizer, recipe.data.max_length, packing=recipe.data.packing)
