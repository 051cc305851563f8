"""From files to batches: readers, collators, and the sampler that fills batches by tokens."""

from .causal_lm_collator import CausalLanguageModelingCollator, TokenBlocks
from .masked_lm_collator import MaskedLanguageModelingCollator
from .readers import load_pairs, load_texts
from .report import BadRow, RowReport
from .sampler import TokenBatchSampler
from .translation_collator import TranslationCollator

__all__ = [
    "BadRow",
    "CausalLanguageModelingCollator",
    "MaskedLanguageModelingCollator",
    "RowReport",
    "TokenBatchSampler",
    "TokenBlocks",
    "TranslationCollator",
    "load_pairs",
    "load_texts",
]
