"""The gain of a fine-tuning over another model on the same rows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Gain:
    """The gain over another initialisation.

    Attributes:
        start: `bag_of_words`, `before`, `scratch`, or the folder of an earlier fine-tuning.
        folder: of the other run, with its results.
        scores: main metric of the other run, for each split that both runs have scores on.
        gains: improvement over the other run, for the same splits; negative if the other run is better.
        intervals: 95 % confidence intervals of the gains by the paired bootstrap; only for splits that both runs have
            predictions of the same rows for, and for accuracy, F1 and Pearson's r.
    """

    start: str
    folder: str
    scores: dict[str, float]
    gains: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


def shown_interval(gain: Gain, split: str) -> str:
    """The confidence interval of a gain, in brackets; empty if there is none."""
    if split not in gain.intervals:
        return ""
    low, high = gain.intervals[split]
    return f" (95 % confidence interval {low:+.4g} to {high:+.4g})"
