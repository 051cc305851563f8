"""Pictures of a report: learning curves, confusion matrix, reliability diagram, numbers, dependency trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

# Object-oriented matplotlib needs no display and does not affect a caller's own figures.
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator

from ..evaluation.calibration import Reliability
from ..files import file_aside
from .fonts import DEFAULT, families_for

# Okabe and Ito's colors, which people with red-green color blindness can distinguish.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"

# One (head, relation) a word. Heads are numbered from 1; 0 is the root.
Tree = Sequence[tuple[int, str]]


def plot_history(
    history: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    metric: str | None = None,
    higher_is_better: bool = True,
    unfrozen: Mapping[int, str] | None = None,
) -> Path:
    """Learning curves: training and validation loss on the left, `metric` (or the learning rate) on the right.

    Args:
        history: the records of a metrics.jsonl: `step` with `loss`, `learning_rate` or `eval_...`.
        path: the picture.
        metric: such as ``accuracy``, which is `eval_accuracy` in the records.
        higher_is_better: whether a higher value of the metric is better.
        unfrozen: the name of the part that became trainable at an update, drawn as a vertical line.

    Raises:
        ValueError: no record has a loss or a score.
    """
    losses = [(record["step"], record["loss"]) for record in history if "loss" in record]
    validation = [(record["step"], record["eval_loss"]) for record in history if "eval_loss" in record]
    scores = [(record["step"], record[f"eval_{metric}"]) for record in history if f"eval_{metric}" in record]
    if not losses and not validation and not scores:
        raise ValueError(f"history has {len(history)} records, but none has a loss or a score to draw.")
    with _figure(path, (10, 3.8)) as figure:
        left, right = figure.subplots(1, 2)
        for points, label, color, marker in (
            (losses, "training", BLUE, None),
            (validation, "validation", ORANGE, "o"),
        ):
            if points:
                left.plot(*zip(*points), label=label, color=color, marker=marker, markersize=4)
        left.set(xlabel="update", ylabel="loss")
        left.legend()
        if scores:
            right.plot(*zip(*scores), color=ORANGE, marker="o", markersize=4)
            best = (max if higher_is_better else min)(scores, key=lambda point: point[1])
            right.annotate(f"{best[1]:.4g}", best, textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
            right.set(xlabel="update", ylabel=f"{metric} on the validation rows")
        else:
            rates = [(record["step"], record["learning_rate"]) for record in history if "learning_rate" in record]
            if rates:
                right.plot(*zip(*rates), color=GREY)
            right.set(xlabel="update", ylabel="learning rate")
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.margins(y=0.12)
            for step, name in (unfrozen or {}).items():
                axes.axvline(step, color=GREY, linewidth=0.8, linestyle=":")
                axes.annotate(
                    name, (step, 1), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right", fontsize=6
                )
    return path


def plot_confusion(counts: np.ndarray, names: Sequence[str], path: Path) -> bool:
    """The confusion matrix: one row a true class, one column a predicted class. Color is the share of the row.

    Args:
        counts: (classes, classes); rows are true classes.
        names: of the classes.
        path: the picture.

    Returns:
        True if the picture shows the names; False if it shows numbers, because no installed font has all characters.
    """
    shown, families, drawn = _names_or_numbers(names)
    size = 2.2 + 0.55 * len(shown)
    with _figure(path, (size + 0.8, size), families) as figure:
        axes = figure.add_subplot()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(shown)):
            for column in range(len(shown)):
                if counts[row, column]:
                    axes.text(
                        column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8,
                        color="white" if shares[row, column] > 0.5 else "black",
                    )  # fmt: skip
        axes.set_xticks(range(len(shown)), shown, rotation=45 if max(map(len, shown)) > 3 else 0, ha="right")
        axes.set_yticks(range(len(shown)), shown)
        axes.set(xlabel="predicted", ylabel="true")
        figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    return drawn


def plot_reliability(reliability: Reliability, path: Path) -> Path:
    """Accuracy over confidence: the model is overconfident where bars stay below the diagonal."""
    with _figure(path, (5, 5)) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        width = 1 / len(reliability.counts)
        middles = reliability.edges[:-1] + width / 2
        accuracy = np.nan_to_num(reliability.accuracy)
        gaps = np.nan_to_num(reliability.confidence - reliability.accuracy)
        top.bar(middles, accuracy, width, color=BLUE, edgecolor="white", label="accuracy")
        top.bar(
            middles, gaps, width, bottom=accuracy, color=RED, alpha=0.35, edgecolor=RED, label="gap to the confidence"
        )
        top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        top.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        top.text(0.03, 0.75, f"ECE {reliability.expected_calibration_error:.1%}", transform=top.transAxes)
        top.legend(loc="upper left")
        bottom.bar(middles, reliability.counts, width, color=GREY, edgecolor="white")
        bottom.set(xlabel="confidence", ylabel="predictions")
    return path


def plot_numbers(gold: Sequence[float], predicted: Sequence[float], path: Path) -> Path:
    """Predicted over true numbers, with the diagonal of perfect predictions."""
    with _figure(path, (5, 5)) as figure:
        axes = figure.add_subplot()
        axes.scatter(gold, predicted, s=12, alpha=min(1.0, 0.2 + 100 / max(len(gold), 1)), color=BLUE, linewidths=0)
        low, high = min(*gold, *predicted), max(*gold, *predicted)
        axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel="true", ylabel="predicted")
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid(alpha=0.3)
    return path


def plot_tree(words: Sequence[str], gold: Tree, predicted: Tree, path: Path) -> bool:
    """A dependency tree: gold arcs above the words, predicted arcs below them, with errors in color.

    Args:
        words: of the sentence.
        gold, predicted: for each word its head (from 1; 0 is the root) and its relation.
        path: the picture.

    Returns:
        True if the picture shows the words; False if it shows numbers, because no installed font has all characters.

    Raises:
        ValueError: the number of arcs is not the number of words, or a head is outside the sentence.
    """
    for name, tree in (("gold", gold), ("predicted", predicted)):
        if len(tree) != len(words):
            raise ValueError(f"{name} has {len(tree)} arcs for {len(words)} words; give one arc a word.")
        outside = [head for head, _ in tree if not 0 <= head <= len(words)]
        if outside:
            raise ValueError(f"{name} has the head {outside[0]}, but the words are numbered 1 to {len(words)}.")
    shown, families, drawn = _names_or_numbers([word if len(word) <= 14 else word[:13] + "…" for word in words])
    edges = np.concatenate([[0.0], np.cumsum([0.4 + 0.1 * max(len(word), 3) * _width(word) for word in shown])])
    middles = (edges[:-1] + edges[1:]) / 2
    highest = max((_height(i, head) for tree in (gold, predicted) for i, (head, _) in enumerate(tree)), default=1)
    with _figure(path, (max(4.0, edges[-1] + 0.6), 2 * highest * 0.62 + 1.2), families) as figure:
        axes = figure.add_subplot()
        for middle, word in zip(middles, shown):
            axes.text(middle, 0, word, ha="center", va="center", fontsize=10)
        for index, (true, guess) in enumerate(zip(gold, predicted)):
            _arc(axes, index, true, middles, GREEN if true == guess else "black", upwards=True, highest=highest)
            color = BLUE if true == guess else ORANGE if true[0] == guess[0] else RED
            _arc(axes, index, guess, middles, color, upwards=False, highest=highest)
        axes.set(xlim=(-0.2, edges[-1] + 0.2), ylim=(-highest - 0.9, highest + 0.9))
        axes.text(-0.1, highest + 0.75, "gold", fontsize=8, color=GREY, va="top")
        axes.text(-0.1, -highest - 0.75, "predicted", fontsize=8, color=GREY, va="bottom")
        axes.axis("off")
    return drawn


def _arc(
    axes: Axes, index: int, arc: tuple[int, str], middles: np.ndarray, color: str, *, upwards: bool, highest: float
) -> None:
    head, relation = arc
    sign = 1 if upwards else -1
    base = sign * 0.22
    if head == 0:
        start, label_at = (middles[index], sign * (highest + 0.5)), (middles[index] + 0.05, sign * (highest + 0.35))
        line = Outline([start, (middles[index], base)])
        align = "left"
    else:
        # Beside the middle of the head, so that outgoing arcs do not meet the incoming one.
        side = 0.1 if middles[index] > middles[head - 1] else -0.1
        start = (middles[head - 1] + side, base)
        height = _height(index, head)
        middle = (start[0] + middles[index]) / 2
        # A quadratic curve whose control point is at twice the height reaches the height in its middle.
        curve = [Outline.MOVETO, Outline.CURVE3, Outline.CURVE3]
        line = Outline([start, (middle, base + 2 * sign * height), (middles[index], base)], curve)
        label_at = (middle, base + sign * height)
        align = "center"
    axes.add_patch(
        FancyArrowPatch(
            path=line, arrowstyle="-|>", mutation_scale=8, edgecolor=color, facecolor=color, linewidth=1, shrinkB=0
        )
    )
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # hides other arcs behind the label
    axes.text(*label_at, relation, fontsize=7, color=color, ha=align, va="center", bbox=behind)


def _height(index: int, head: int) -> float:
    """The height of an arc, which grows more slowly than its length."""
    if head == 0:
        return 0.0
    return 0.3 + 0.5 * abs(index - (head - 1)) ** 0.65


def _width(word: str) -> float:
    """Width factor of a word: Korean, Chinese and Japanese characters are wider than Latin ones."""
    return 1.7 if any(ord(character) > 0x1100 for character in word) else 1.0


def _names_or_numbers(names: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """The labels to draw, their font families, and whether the labels are the names."""
    families = families_for(names)
    if families is None:
        return [str(number) for number in range(1, len(names) + 1)], [DEFAULT], False
    return [_literal(name) for name in names], families, True


def _literal(text: str) -> str:
    """Escapes dollar signs, which would start a formula."""
    return text.replace("$", r"\$")


@contextmanager
def _figure(path: Path, size: tuple[float, float], families: Iterable[str] = (DEFAULT,)) -> Iterator[Figure]:
    """An empty figure that is saved at the end of the block."""
    with rc_context({"font.family": list(families), "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        for axes in figure.axes:
            if axes.get_xlabel() == "update":
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        with file_aside(path) as aside:
            figure.savefig(aside, dpi=130, format="png")
