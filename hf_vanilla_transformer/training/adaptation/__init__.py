"""Adaptation: a trained model goes on learning on the text of a domain, and what it forgets is measured.

The parts work with any model of transformers and its plain Trainer; `run_adaptation`, in `run`, puts them together.
"""

from ..recipes.adaptation_recipe import AdaptationRecipe, GeneralTextRecipe
from .embeddings import extend_embeddings, turn_embeddings
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
    "turn_embeddings",
]
