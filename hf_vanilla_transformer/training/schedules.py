"""Learning rate schedules, as factors for `torch.optim.lr_scheduler.LambdaLR`.

Each function returns a function of the number of completed updates. The first update has number 0 here and step 1 in
the papers.
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
    """Linear warm-up to the base rate, then decay by the inverse square root of the step (fairseq's `inverse_sqrt`)."""
    warmup_steps = max(warmup_steps, 1)

    def factor(updates: int) -> float:
        step = updates + 1
        return min(step / warmup_steps, (warmup_steps / step) ** 0.5)

    return factor


def constant(warmup_steps: int) -> Schedule:
    """Linear warm-up, then the base rate."""
    return lambda updates: min(1.0, (updates + 1) / max(warmup_steps, 1))


def decay(shape: str, warmup_steps: int, final_ratio: float, progress: Callable[[int], float]) -> Schedule:
    """Linear warm-up, then decay to `final_ratio` of the base rate at the end of training.

    Args:
        shape: ``linear`` or ``cosine``.
        warmup_steps: updates of the warm-up.
        final_ratio: last rate divided by the base rate.
        progress: returns the completed fraction of the training, in [0, 1], from the number of completed updates. It
            may use the clock instead, for a training that ends after a number of minutes.

    Raises:
        ValueError: `shape` does not exist.
    """
    curves = {"linear": lambda x: 1 - x, "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2}
    if shape not in curves:
        raise ValueError(f"shape must be one of {', '.join(curves)}, not {shape!r}.")

    def factor(updates: int) -> float:
        warmup = min(1.0, (updates + 1) / max(warmup_steps, 1))
        remaining = curves[shape](min(1.0, max(0.0, progress(updates))))
        return warmup * (final_ratio + (1 - final_ratio) * remaining)

    return factor


def slanted_triangular(total_steps: int, cut_fraction: float = 0.1, ratio: float = 32.0) -> Schedule:
    """Eq. 3 of Howard and Ruder 2018: a short linear increase, then a long linear decay.

    Args:
        total_steps: T, all updates of the training.
        cut_fraction: fraction of the updates in which the rate increases.
        ratio: highest rate divided by the lowest, which is the first and the last.

    Raises:
        ValueError: `total_steps` below 1, `cut_fraction` outside [0, 1], or `ratio` below 1.
    """
    if total_steps < 1:
        raise ValueError(f"slanted_triangular needs total_steps of at least 1, not {total_steps}.")
    if not 0 <= cut_fraction <= 1:
        raise ValueError(f"cut_fraction must be in [0, 1], not {cut_fraction}.")
    if ratio < 1:
        raise ValueError(f"ratio must be at least 1, not {ratio}.")
    cut = math.floor(total_steps * cut_fraction)

    def factor(updates: int) -> float:
        if updates < cut:
            part = updates / cut
        else:
            # The paper's cut · (1 / cut_frac - 1) equals T - cut, except for the rounding of cut.
            part = max(0.0, 1 - (updates - cut) / max(total_steps - cut, 1))
        return (1 + part * (ratio - 1)) / ratio

    return factor
