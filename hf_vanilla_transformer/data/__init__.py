"""From files to batches: readers, collators, and the sampler that fills batches by tokens."""

from .readers import load_pairs, load_texts
from .report import BadRow, RowReport
from .sampler import TokenBatchSampler
from .translation_collator import TranslationCollator

__all__ = ["BadRow", "RowReport", "TokenBatchSampler", "TranslationCollator", "load_pairs", "load_texts"]
