"""Our metrics by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import evaluate

# Each metric is a class in the module of its name.
METRICS = {
    "accuracy": "Accuracy",
    "alignment_error_rate": "AlignmentErrorRate",
    "attachment_scores": "AttachmentScores",
    "bleu": "Bleu",
    "chrf": "Chrf",
    "chunk_f1": "ChunkF1",
    "classification_scores": "ClassificationScores",
    "exact_match": "ExactMatch",
    "multi_label_scores": "MultiLabelScores",
    "perplexity": "Perplexity",
    "regression_scores": "RegressionScores",
    "rouge": "Rouge",
    "tag_accuracy": "TagAccuracy",
}


def load_metric(name: str, **options: Any) -> evaluate.Metric:
    """A metric of this package, as `evaluate.load` gives those of the Hub; it needs no network.

    The `evaluate` library is imported by the first call, because it takes about a second.

    Args:
        name: a key of `METRICS`.
        **options: of the metric's class, such as ``tokenize`` of ``bleu``.

    Raises:
        ValueError: there is no such metric.
    """
    if name not in METRICS:
        raise ValueError(f"name={name!r} is not one of our metrics; choose from {', '.join(METRICS)}.")
    return getattr(importlib.import_module(f".{name}", __package__), METRICS[name])(**options)
