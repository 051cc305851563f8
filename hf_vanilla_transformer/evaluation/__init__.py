"""How good a model is: translation by beam search, BLEU and chrF with their signatures, perplexity; trees, chunks."""

from .chunking import chunk_scores
from .metrics import perplexity, translation_metrics
from .parsing import attachment_scores
from .scoring import continuation_log_probabilities, translation_log_probabilities
from .search import GoogleLengthPenalty, SourceLengthLimit
from .translation import Translation, translate, translate_n_best

__all__ = [
    "GoogleLengthPenalty",
    "SourceLengthLimit",
    "Translation",
    "attachment_scores",
    "chunk_scores",
    "continuation_log_probabilities",
    "perplexity",
    "translate",
    "translate_n_best",
    "translation_log_probabilities",
    "translation_metrics",
]
