"""Where words begin and end in token ids, according to the symbols in the vocabulary of a tokenizer."""

import numpy as np
from tokenizers import models
from transformers import PreTrainedTokenizerBase

from ...tokenization import SPACE_SYMBOLS


def word_boundaries(tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """Whether each token of the vocabulary starts a word, and whether it ends one.

    A WordPiece token continues a word if it has the prefix `##`. A token of a BPE with an end-of-word suffix ends a
    word if it has the suffix. Any other token (byte-level BPE, Unigram) starts a word if it begins with the symbol for
    a space.

    Returns:
        Two arrays `(vocabulary,)`; one of them is false everywhere.
    """
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    model = tokenizer.backend_tokenizer.model
    starts, ends = np.zeros(len(pieces), dtype=bool), np.zeros(len(pieces), dtype=bool)
    if isinstance(model, models.WordPiece):
        prefix = model.continuing_subword_prefix
        starts[:] = [not piece.startswith(prefix) for piece in pieces]
    elif isinstance(model, models.BPE) and model.end_of_word_suffix:
        suffix = model.end_of_word_suffix
        ends[:] = [piece.endswith(suffix) for piece in pieces]
    else:
        starts[:] = [piece.startswith(SPACE_SYMBOLS) for piece in pieces]
    return starts, ends
