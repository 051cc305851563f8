"""Subword tokenizers, trained with the `tokenizers` library and saved as files that `AutoTokenizer` loads."""

from .components import SPACE_SYMBOLS
from .dropout import bpe_dropout
from .templates import TEMPLATES, SpecialTokenTemplate
from .tokenizer_training import train_tokenizer

__all__ = ["SPACE_SYMBOLS", "TEMPLATES", "SpecialTokenTemplate", "bpe_dropout", "train_tokenizer"]
