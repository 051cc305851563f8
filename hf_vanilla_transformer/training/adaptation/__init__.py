"""Adaptation: continues the training of a language model on the text of a domain, and measures what it forgets.

The parts work with any transformers model and its plain Trainer. `run_adaptation`, in `adaptation_run`, combines them.
"""

from ..recipes.adaptation_recipe import AdaptationRecipe, GeneralTextRecipe
from .embeddings import extend_embeddings, rotate_embeddings
from .l2_sp import L2SP, L2SPCallback
from .vocabulary import ExtendedTokenizer, FrequentWord, extend_tokenizer, frequent_words

__all__ = [
    "L2SP",
    "AdaptationRecipe",
    "ExtendedTokenizer",
    "FrequentWord",
    "GeneralTextRecipe",
    "L2SPCallback",
    "extend_embeddings",
    "extend_tokenizer",
    "frequent_words",
    "rotate_embeddings",
]
