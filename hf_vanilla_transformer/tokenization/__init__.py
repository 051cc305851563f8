"""Subword tokenizers, trained with the `tokenizers` library and saved as files that `AutoTokenizer` loads."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "SPACE_SYMBOLS": "components",
        "SpecialTokenTemplate": "templates",
        "TEMPLATES": "templates",
        "bpe_dropout": "dropout",
        "train_tokenizer": "tokenizer_training",
    },
)
