"""From files to batches: readers, collators, and the sampler that fills batches by tokens."""

from .causal_lm_collator import CausalLanguageModelingCollator, TokenBlocks
from .csv_files import CsvFormat
from .denoising_collator import DenoisingCollator
from .labelled import load_labelled, split_off_validation
from .labels import Labels, fit_labels
from .long_texts import EncodedTexts, encode_texts, vote
from .masked_lm_collator import MaskedLanguageModelingCollator
from .parsing_collator import DependencyParsingCollator
from .readers import load_pairs, load_texts
from .report import BadRow, RowReport
from .sampler import TokenBatchSampler
from .span_corruption_collator import SpanCorruptionCollator
from .translation_collator import TranslationCollator
from .word_pieces import EncodedWords, encode_words
from .words import load_tagged, load_trees

__all__ = [
    "BadRow",
    "CausalLanguageModelingCollator",
    "CsvFormat",
    "DenoisingCollator",
    "DependencyParsingCollator",
    "EncodedTexts",
    "EncodedWords",
    "Labels",
    "MaskedLanguageModelingCollator",
    "RowReport",
    "SpanCorruptionCollator",
    "TokenBatchSampler",
    "TokenBlocks",
    "TranslationCollator",
    "encode_texts",
    "encode_words",
    "fit_labels",
    "load_labelled",
    "load_pairs",
    "load_tagged",
    "load_texts",
    "load_trees",
    "split_off_validation",
    "vote",
]
