"""Decoding: the beam search of the paper with its length penalty, log-probabilities of generated text, answer spans."""

from .length_penalty import GoogleLengthPenalty, SourceLengthLimit
from .log_probabilities import continuation_log_probabilities, translation_log_probabilities
from .translation import Translation, translate, translate_n_best

__all__ = [
    "GoogleLengthPenalty",
    "SourceLengthLimit",
    "Translation",
    "continuation_log_probabilities",
    "translate",
    "translate_n_best",
    "translation_log_probabilities",
]
