"""Published checkpoints in and out: `from_checkpoint`, `from_stock` and `to_stock`."""

from .checkpoint import from_checkpoint
from .exporting import to_stock
from .importing import from_stock

__all__ = ["from_checkpoint", "from_stock", "to_stock"]
