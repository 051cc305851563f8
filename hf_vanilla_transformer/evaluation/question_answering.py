"""Scores of answers, by the rules of SQuAD (Rajpurkar et al. 2016, section 6.1)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

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
