"""Which collator makes the batches of which task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedTokenizerBase

from ..data import CausalLanguageModelingCollator, MaskedLanguageModelingCollator, TranslationCollator
from .recipe import Recipe


def collator(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Callable[[list], dict[str, torch.Tensor]]:
    """The collator of the recipe's task."""
    # Attention within a packed row costs the square of its length, so a row is no longer than a sequence may be.
    packing = {"packing": True, "row_length": recipe.data.max_length} if recipe.data.packing else {}
    if recipe.task == "translation":
        return TranslationCollator(tokenizer, **packing)
    if recipe.task == "masked_lm":
        return MaskedLanguageModelingCollator(tokenizer, mask_probability=recipe.training.mask_probability, **packing)
    return CausalLanguageModelingCollator(tokenizer, recipe.data.max_length, packing=recipe.data.packing)
