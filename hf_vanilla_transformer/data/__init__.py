"""From files to batches: readers, collators, and the sampler that fills batches by their number of tokens."""

from .collators.causal_lm import CausalLanguageModelingCollator
from .collators.denoising import DenoisingCollator
from .collators.dependency_parsing import DependencyParsingCollator
from .collators.masked_lm import MaskedLanguageModelingCollator
from .collators.span_corruption import SpanCorruptionCollator
from .collators.translation import TranslationCollator
from .long_texts import EncodedTexts, encode_texts, vote
from .readers.bad_rows import BadRow
from .readers.choices import load_choices
from .readers.csv_files import CsvFormat
from .readers.labelled import load_labelled
from .readers.labels import Labels, fit_labels
from .readers.pairs import load_pairs
from .readers.questions import load_questions
from .readers.row_report import RowReport
from .readers.tagged import load_tagged
from .readers.texts import load_texts
from .readers.trees import load_trees
from .readers.validation_split import split_off_validation
from .sampler import TokenBatchSampler
from .token_blocks import TokenBlocks
from .word_pieces import EncodedWords, encode_words

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
    "load_choices",
    "load_labelled",
    "load_pairs",
    "load_questions",
    "load_tagged",
    "load_texts",
    "load_trees",
    "split_off_validation",
    "vote",
]
