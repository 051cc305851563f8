"""How good a model is: translation by beam search, BLEU and chrF with their signatures, perplexity."""

from .metrics import perplexity, translation_metrics
from .search import GoogleLengthPenalty, SourceLengthLimit
from .translation import translate

__all__ = ["GoogleLengthPenalty", "SourceLengthLimit", "perplexity", "translate", "translation_metrics"]
