"""Subword tokenizers: trained with the `tokenizers` library, saved as plain files that `AutoTokenizer` loads."""

from .dropout import bpe_dropout
from .templates import TEMPLATES, SpecialTokenTemplate
from .trainer import train_tokenizer

__all__ = ["TEMPLATES", "SpecialTokenTemplate", "bpe_dropout", "train_tokenizer"]
