"""Evaluation mode or training mode for the duration of a computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Puts `model` in evaluation mode (no dropout); afterwards each of its modules returns to its previous mode."""
    with _mode(model, training=False):
        yield model


@contextmanager
def training_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Puts `model` in training mode; afterwards each of its modules returns to its previous mode."""
    with _mode(model, training=True):
        yield model


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    # `model.train(was_training)` would also switch modules that the caller keeps in another mode, such as frozen ones.
    previous = [(module, module.training) for module in model.modules()]
    if all(mode == training for _, mode in previous):  # setting them takes longer than a short sentence
        yield
        return
    model.train(training)
    try:
        yield
    finally:
        for module, mode in previous:
            module.training = mode
