"""Adaptation: continues the training of a language model on the text of a domain, and measures what it forgets.

The parts work with any transformers model and its plain Trainer. `run_adaptation`, in `adaptation_run`, combines them.
"""

from ...lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "AdaptationRecipe": ".recipes.adaptation_recipe",
        "ExtendedTokenizer": "vocabulary",
        "FrequentWord": "vocabulary",
        "GeneralTextRecipe": ".recipes.adaptation_recipe",
        "L2SP": "l2_sp",
        "L2SPCallback": "l2_sp",
        "extend_embeddings": "embeddings",
        "extend_tokenizer": "vocabulary",
        "frequent_words": "vocabulary",
        "rotate_embeddings": "embeddings",
    },
)
