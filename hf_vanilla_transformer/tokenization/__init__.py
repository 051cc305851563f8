"""Subword tokenizers: trained with the `tokenizers` library, saved as plain files that `AutoTokenizer` loads."""

from .dropout import bpe_dropout
from .pipelines import WORD_START_MARKS
from .templates import TEMPLATES, SpecialTokenTemplate
from .trainer import train_tokenizer

__all__ = ["TEMPLATES", "WORD_START_MARKS", "SpecialTokenTemplate", "bpe_dropout", "train_tokenizer"]
