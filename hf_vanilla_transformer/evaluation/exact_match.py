"""Exact match and F1 of answers, by the rules of SQuAD."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ExactMatch(InMemoryMetric):
    """Agreement of each answer with the best of its gold answers (Rajpurkar et al. 2016, section 6.1).

    `compute` returns ``exact_match``, the share of answers that equal a gold answer apart from case, punctuation,
    articles and white space, and ``f1``, the mean overlap of words; both in [0, 1]. A question without gold answers has
    the empty answer.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Exact match and F1 of the words of answers, by the rules of SQuAD.",
            citation="Rajpurkar et al. 2016, SQuAD: 100,000+ Questions for Machine Comprehension of Text",
            inputs_description="predictions: an answer a row. references: the list of the gold answers of each row.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.List(datasets.Value("string"))}
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        exact, f1 = 0, 0.0
        for answer, gold_answers in zip(predictions, references):
            gold_answers = gold_answers or [""]
            exact += any(normalized(answer) == normalized(gold) for gold in gold_answers)
            f1 += max(_f1(answer, gold) for gold in gold_answers)
        return {"exact_match": exact / len(references), "f1": f1 / len(references)}


def normalized(answer: str) -> str:
    """An answer in lower case, without punctuation, English articles and redundant white space."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _f1(answer: str, gold: str) -> float:
    predicted_words, gold_words = normalized(answer).split(), normalized(gold).split()
    if not predicted_words or not gold_words:
        return float(predicted_words == gold_words)
    tp = sum((Counter(predicted_words) & Counter(gold_words)).values())
    return 2 * tp / (len(predicted_words) + len(gold_words))
