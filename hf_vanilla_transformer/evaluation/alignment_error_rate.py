"""The error rate of word alignments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric

Links = Sequence[Sequence[int]]


class AlignmentErrorRate(InMemoryMetric):
    """1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|) of alignments A, with counts summed over all sentences (Och and Ney 2003).

    `compute` returns ``alignment_error_rate`` in [0, 1]; 0 is perfect. It raises `ValueError` if there is no link.

    S are the sure links of the reference, P its possible links. Sure links count as possible, listed or not.
    """

    def _info(self) -> evaluate.MetricInfo:
        links = datasets.List(datasets.List(datasets.Value("int32"), length=2))
        return evaluate.MetricInfo(
            description="Alignment error rate of word alignments.",
            citation="Och and Ney 2003, A Systematic Comparison of Various Statistical Alignment Models",
            inputs_description="predictions: for each sentence its links, pairs of a source and a target word. "
            "references: for each sentence its sure and possible links.",
            features=datasets.Features({"predictions": links, "references": {"sure": links, "possible": links}}),
        )

    def _compute(self, predictions: Sequence[Links], references: Sequence[Mapping[str, Links]]) -> dict[str, float]:
        tp = n_gold = n_pred = 0
        for links, reference in zip(predictions, references):
            predicted, sure, possible = (
                {(source, target) for source, target in some}
                for some in (links, reference["sure"], reference["possible"])
            )
            n_pred += len(predicted)
            n_gold += len(sure)
            tp += len(predicted & sure) + len(predicted & (sure | possible))
        if n_gold + n_pred == 0:
            raise ValueError(f"Neither predictions nor references have a link in {len(references)} sentences.")
        return {"alignment_error_rate": 1.0 - tp / (n_gold + n_pred)}
