"""Where a model that is used, not trained, runs."""

from __future__ import annotations

import torch


def default_device() -> torch.device:
    """The accelerator of this machine if it has one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")
