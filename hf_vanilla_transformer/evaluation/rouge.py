"""ROUGE: words, pairs of words, and words in order that a summary shares with its reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric

_WORD = re.compile(r"[^\W_]+")


class Rouge(InMemoryMetric):
    """ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004).

    `compute` returns ``rouge1``, ``rouge2`` and ``rougeL`` (longest common subsequence): the mean F1 over the texts, in
    [0, 1]. Words are runs of letters and digits of any script, in lower case and without stemming.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L, for any script.",
            citation="Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries",
            inputs_description="predictions, references: a text a row.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        totals = {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
        for text, reference in zip(predictions, references):
            predicted, gold = (_WORD.findall(one.lower()) for one in (text, reference))
            for size in (1, 2):
                predicted_ngrams, gold_ngrams = (
                    Counter(zip(*(words[start:] for start in range(size)))) for words in (predicted, gold)
                )
                tp = (predicted_ngrams & gold_ngrams).total()
                totals[f"rouge{size}"] += _f1(tp, gold_ngrams.total(), predicted_ngrams.total())
            totals["rougeL"] += _f1(_longest_common_subsequence(predicted, gold), len(gold), len(predicted))
        return {name: total / len(references) for name, total in totals.items()}


def _f1(tp: int, n_gold: int, n_pred: int) -> float:
    return 2 * tp / (n_gold + n_pred) if n_gold + n_pred else 0.0


def _longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Its length, by the usual table, of which only one row is kept."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, 1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]
