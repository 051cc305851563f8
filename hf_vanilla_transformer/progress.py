"""Progress on standard error: bars for work that takes a while, and durations for people to read."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from huggingface_hub import constants
from tqdm.auto import tqdm


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    description: str | None = None,
    unit: str = "it",
    show: bool | None = None,
) -> tqdm:
    """A progress bar on standard error.

    Iterate over it, or use it as a context and call `update(n)`.

    The environment variables ``HF_HUB_DISABLE_PROGRESS_BARS`` and ``TQDM_DISABLE`` hide it. The switch
    `transformers.utils.logging.disable_progress_bar` does not: our commands use it so that only our own bars show.

    Args:
        items: what the loop goes through; None for a bar that is updated by hand.
        total: number of units; None for the length of `items`, where it has one.
        description: text before the bar.
        unit: what is counted, in the singular.
        show: None shows the bar if standard error is a terminal and clears it at the end; True always shows it and
            leaves it there; False hides it.
    """
    if constants.HF_HUB_DISABLE_PROGRESS_BARS:
        show = False
    return tqdm(
        items,
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr,
        leave=bool(show),
        disable=None if show is None else not show,  # tqdm's None: only on a terminal
    )


def duration(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
