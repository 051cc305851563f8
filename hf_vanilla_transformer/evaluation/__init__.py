"""How good a model is: BLEU and chrF with their signatures, perplexity, chunks, trees."""

from .chunking import chunk_scores
from .metrics import perplexity, translation_metrics
from .parsing import attachment_scores

__all__ = ["attachment_scores", "chunk_scores", "perplexity", "translation_metrics"]
