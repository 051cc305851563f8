"""Conversion of published checkpoints, in both directions."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "from_checkpoint": "checkpoint",
        "from_transformers": "importing",
        "to_transformers": "exporting",
    },
)
