"""Published checkpoints in and out: `from_stock` and `to_stock`."""

from .exporting import to_stock
from .importing import from_stock

__all__ = ["from_stock", "to_stock"]
