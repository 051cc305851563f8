"""Scores of answers, by the rules of SQuAD (Rajpurkar et al. 2016, section 6.1), and the best span of logits."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_scores(predicted: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """How well answers agree with any of the right ones; no answer is right where there is none.

    Returns:
        ``exact_match``, the part that is equal but for case, punctuation, articles and blanks, and ``f1``, the mean
        overlap of words with the best of the right answers; both in [0, 1].
    """
    if len(predicted) != len(answers) or not answers:
        raise ValueError(f"There are {len(predicted)} answers to {len(answers)} questions; give one for each.")
    exact, overlap = [], []
    for answer, right in zip(predicted, answers):
        candidates = list(right) or [""]
        exact.append(max(normalised(answer) == normalised(one) for one in candidates))
        overlap.append(max(_overlap(answer, one) for one in candidates))
    return {"exact_match": float(np.mean(exact)), "f1": float(np.mean(overlap))}


def normalised(answer: str) -> str:
    """An answer in lower case, without punctuation, English articles and superfluous blanks."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _overlap(answer: str, right: str) -> float:
    first, second = normalised(answer).split(), normalised(right).split()
    if not first or not second:
        return float(first == second)
    common = sum((Counter(first) & Counter(second)).values())
    return 2 * common / (len(first) + len(second))


@dataclass(frozen=True)
class Window:
    """What a model says about a part of a passage.

    Attributes:
        start_logits, end_logits: (length,).
        places: for each token the characters of the passage that it covers, or None outside of the passage.
    """

    start_logits: np.ndarray
    end_logits: np.ndarray
    places: Sequence[tuple[int, int] | None]


@dataclass(frozen=True)
class Span:
    """An answer: characters `start` to `end` of the passage, with its probability; empty if there is no answer."""

    start: int
    end: int
    probability: float


def best_span(windows: Sequence[Window], *, longest: int = 30, may_be_none: bool = False) -> Span:
    """The likeliest answer over all windows of a passage, as the pipeline `question-answering` finds it.

    Its probability is that of its first token times that of its last, each a softmax over the passage in all windows,
    and over the empty answer where there may be none.

    Args:
        windows: at least one, of the same passage.
        longest: most tokens of an answer.
        may_be_none: the empty answer may win (SQuAD 2.0), which stands at the first token of a window and counts as
            much as the window says that believes in it least.
    """
    inside = [np.array([place is not None for place in window.places]) for window in windows]
    starts = [window.start_logits.astype(np.float64) for window in windows]
    ends = [window.end_logits.astype(np.float64) for window in windows]
    none = min(range(len(windows)), key=lambda index: starts[index][0] + ends[index][0])
    totals = []
    for logits in (starts, ends):
        values = np.concatenate([one[mask] for one, mask in zip(logits, inside)])
        values = np.append(values, logits[none][0]) if may_be_none else values
        totals.append(values.max() + np.log(np.exp(values - values.max()).sum()))
    best, found = -np.inf, Span(0, 0, 0.0)
    if may_be_none:
        best = starts[none][0] - totals[0] + ends[none][0] - totals[1]
        found = Span(0, 0, float(np.exp(best)))
    for window, mask, start, end in zip(windows, inside, starts, ends):
        columns = np.flatnonzero(mask)
        scores = (start[columns] - totals[0])[:, None] + (end[columns] - totals[1])[None]
        steps = np.arange(len(columns))
        length = steps[None] - steps[:, None] + 1  # of the span from row to column
        scores[(length < 1) | (length > longest)] = -np.inf
        if scores.size and scores.max() > best:
            first, last = np.unravel_index(int(scores.argmax()), scores.shape)
            best = float(scores[first, last])
            found = Span(window.places[columns[first]][0], window.places[columns[last]][1], float(np.exp(best)))
    return found
