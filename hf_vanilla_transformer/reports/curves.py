"""curves.png: the loss over updates, and the scores over the time they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import file_aside


def plot_curves(
    records: Sequence[Mapping[str, Any]],
    picture: Path,
    *,
    metric: str | None = None,
    unit: str = "nats per token",
) -> None:
    """Draws `picture` from the history of a run.

    Left: training and validation loss over updates. Right: `metric` over updates; without it BLEU and chrF over minutes
    of training; without these the learning rate.

    Args:
        records: the records of a metrics.jsonl.
        picture: a PNG file.
        metric: a score of the evaluations, such as `accuracy`.
        unit: of the loss; empty for none.
    """
    # The figure needs no display and does not change the backend that a notebook has chosen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = [record for record in records if "loss" in record]
    evaluations = [record for record in records if "eval_loss" in record or "eval_bleu" in record]
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot([record["step"] for record in losses], [record["loss"] for record in losses], label="training")
    validated = [record for record in evaluations if "eval_loss" in record]
    if validated:
        steps = [record["step"] for record in validated]
        left.plot(steps, [record["eval_loss"] for record in validated], marker=".", label="validation")
    left.set(xlabel="update", ylabel=f"loss ({unit})" if unit else "loss")
    left.legend()
    scored = [record for record in evaluations if "eval_bleu" in record]
    measured = [record for record in evaluations if f"eval_{metric}" in record]
    if metric is not None and measured:
        right.plot(
            [record["step"] for record in measured], [record[f"eval_{metric}"] for record in measured], marker="."
        )
        right.set(xlabel="update", ylabel=f"{metric} on the validation set")
    elif scored:
        minutes = [record["training_seconds"] / 60 for record in scored]
        for name, label in (("eval_bleu", "BLEU"), ("eval_chrf", "chrF")):
            right.plot(minutes, [record[name] for record in scored], marker=".", label=label)
        right.set(xlabel="minutes of training", ylabel="score on the validation set")
        right.legend()
    else:
        right.plot([record["step"] for record in losses], [record["learning_rate"] for record in losses])
        right.set(xlabel="update", ylabel="learning rate")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    with file_aside(picture) as aside:
        figure.savefig(aside, dpi=120, format="png")
