"""Learning rates over the course of training, as factors for `torch.optim.lr_scheduler.LambdaLR`.

Each function returns a function of the number of updates already made, so that the first update has step 0 there and
step 1 in the papers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def noam(hidden_size: int, warmup_steps: int) -> Schedule:
    """Eq. 3 of Vaswani et al. 2017: d^-0.5 · min(step^-0.5, step · warmup^-1.5). The base rate must be 1.

    Args:
        hidden_size: d_model.
        warmup_steps: at least 1; the rate peaks there, at (d · warmup)^-0.5.
    """
    if warmup_steps < 1:
        raise ValueError(f"noam needs warmup_steps of at least 1, not {warmup_steps}.")

    def factor(updates: int) -> float:
        step = updates + 1
        return hidden_size**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)

    return factor


def inverse_sqrt(warmup_steps: int) -> Schedule:
    """Linear warm-up to the base rate, then falling with the square root of the step (fairseq's `inverse_sqrt`)."""
    warmup_steps = max(warmup_steps, 1)

    def factor(updates: int) -> float:
        step = updates + 1
        return min(step / warmup_steps, (warmup_steps / step) ** 0.5)

    return factor


def constant(warmup_steps: int) -> Schedule:
    """Linear warm-up, then the base rate."""
    return lambda updates: min(1.0, (updates + 1) / max(warmup_steps, 1))


def decay(shape: str, warmup_steps: int, final_ratio: float, progress: Callable[[int], float]) -> Schedule:
    """Linear warm-up, then down to `final_ratio` of the base rate at the end of training.

    Args:
        shape: ``linear`` or ``cosine``.
        progress: the part of the training that is over, in [0, 1], given the number of updates made. It may look at the
            clock instead, for a training that ends after a number of minutes.
    """
    curves = {"linear": lambda x: 1 - x, "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2}
    if shape not in curves:
        raise ValueError(f"shape must be one of {', '.join(curves)}, not {shape!r}.")

    def factor(updates: int) -> float:
        warmup = min(1.0, (updates + 1) / max(warmup_steps, 1))
        remaining = curves[shape](min(1.0, max(0.0, progress(updates))))
        return warmup * (final_ratio + (1 - final_ratio) * remaining)

    return factor
