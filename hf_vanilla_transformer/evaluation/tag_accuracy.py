"""Accuracy of the tags of words."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric


class TagAccuracy(InMemoryMetric):
    """`compute` returns ``accuracy``, the share of all words whose tag is right, in [0, 1].

    It raises `ValueError` if a sentence has another number of predicted than of gold tags, or if there are no words.
    """

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="The share of words whose predicted tag is the gold tag.",
            citation="",
            inputs_description="predictions, references: the tags of a sentence a row.",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, float]:
        return {"accuracy": tag_accuracy(references, predictions)}


def tag_accuracy(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """The share of words whose tag is right.

    Raises:
        ValueError: a sentence has another number of predicted than of gold tags, or there are no words.
    """
    for number, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(
                f"Sentence {number} has {len(predicted_tags)} predicted tags and {len(gold_tags)} gold tags; give one "
                "of each for every word."
            )
    words = sum(map(len, gold))
    if not words:
        raise ValueError(f"The {len(gold)} sentences have no words; give at least one word.")
    tp = sum(tag == other for tags, others in zip(gold, predicted) for tag, other in zip(tags, others))
    return tp / words
