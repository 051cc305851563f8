"""chrF by sacreBLEU, with the signature that makes scores comparable (Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
from sacrebleu.metrics import CHRF

from .in_memory_metric import InMemoryMetric


class Chrf(InMemoryMetric):
    """chrF of a test set: the F-score of character n-grams (Popović 2015).

    `compute` returns ``chrf`` in percent and ``chrf_signature``.

    Args:
        lowercase: ignore case.
        **options: of `evaluate.Metric`.
    """

    def __init__(self, *, lowercase: bool = False, **options: Any) -> None:
        self.scorer = CHRF(lowercase=lowercase)
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Corpus chrF by sacreBLEU, in percent, with its signature.",
            citation="Popović 2015, chrF: character n-gram F-score for automatic MT evaluation; "
            "Post 2018, A Call for Clarity in Reporting BLEU Scores",
            inputs_description="predictions: the translations, one text a row. references: one text a row.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        score = self.scorer.corpus_score(predictions, [references]).score
        return {"chrf": score, "chrf_signature": str(self.scorer.get_signature())}
