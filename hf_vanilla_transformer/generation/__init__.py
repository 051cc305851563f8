"""Decoding: the beam search of the paper with its length penalty, log-probabilities of generated text, answer spans."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "GoogleLengthPenalty": "length_penalty",
        "SourceLengthLimit": "length_penalty",
        "Translation": "translation",
        "memory_of_row": "decoding_memory",
        "continuation_log_probabilities": "log_probabilities",
        "transformers_decoding_loop": "decoding_loop",
        "translate": "translation",
        "translate_n_best": "translation",
        "translation_log_probabilities": "log_probabilities",
    },
)
