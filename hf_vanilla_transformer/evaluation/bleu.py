"""BLEU by sacreBLEU, with the signature that makes scores comparable (Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
from sacrebleu.metrics import BLEU

from .in_memory_metric import InMemoryMetric


class Bleu(InMemoryMetric):
    """BLEU of a test set (Papineni et al. 2002).

    `compute` returns ``bleu`` in percent and ``bleu_signature``.

    Args:
        tokenize: sacreBLEU's tokenizer; ``none`` if both sides are already tokenized.
        lowercase: ignore case.
        **options: of `evaluate.Metric`.
    """

    def __init__(self, *, tokenize: str = "13a", lowercase: bool = False, **options: Any) -> None:
        # `force` only silences the warning about tokenized text, which is expected with tokenize="none".
        self.scorer = BLEU(tokenize=tokenize, lowercase=lowercase, force=tokenize == "none")
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Corpus BLEU by sacreBLEU, in percent, with its signature.",
            citation="Papineni et al. 2002, BLEU: a Method for Automatic Evaluation of Machine Translation; "
            "Post 2018, A Call for Clarity in Reporting BLEU Scores",
            inputs_description="predictions: the translations, one text a row. references: one text a row.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        score = self.scorer.corpus_score(predictions, [references]).score
        return {"bleu": score, "bleu_signature": str(self.scorer.get_signature())}
