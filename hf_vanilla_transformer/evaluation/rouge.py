"""ROUGE (Lin 2004): how many words, pairs of words, and words in order a summary shares with the right one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+")


def rouge_scores(predicted: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean F1 over the texts, in [0, 1]: ``rouge1``, ``rouge2`` and ``rougeL`` (longest common subsequence).

    Words are runs of letters and digits of any script in lower case, without stemming.

    Raises:
        ValueError: the two sides differ in length or are empty.
    """
    if len(predicted) != len(references) or not references:
        raise ValueError(f"There are {len(predicted)} texts but {len(references)} references; give one for each.")
    totals = {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    for text, reference in zip(predicted, references):
        first, second = (_WORD.findall(one.lower()) for one in (text, reference))
        for size in (1, 2):
            grams = [Counter(zip(*(words[start:] for start in range(size)))) for words in (first, second)]
            common = sum((grams[0] & grams[1]).values())
            totals[f"rouge{size}"] += _f1(common, sum(grams[0].values()), sum(grams[1].values()))
        totals["rougeL"] += _f1(_common_subsequence(first, second), len(first), len(second))
    return {name: total / len(references) for name, total in totals.items()}


def _f1(common: int, first: int, second: int) -> float:
    return 2 * common / (first + second) if first + second else 0.0


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest one, row by row of the usual table."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, 1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]
