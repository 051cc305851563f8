"""Conversion of published checkpoints, in both directions."""

from .checkpoint import from_checkpoint
from .exporting import to_transformers
from .importing import from_transformers

__all__ = ["from_checkpoint", "from_transformers", "to_transformers"]
