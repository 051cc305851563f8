"""perplexity.png of an adaptation: the perplexity of each text over the updates, domain and general text alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import file_aside

_COLORS = ("tab:blue", "tab:orange")


def plot_perplexities(history: Sequence[Mapping[str, Any]], unit: str, picture: Path) -> None:
    """Draws `picture`: one line a text over the updates, and the base model's perplexity as a dotted line.

    A domain line that falls while the line of general text rises shows forgetting.

    Args:
        history: the measurements in order: the base model first, the resulting model last. Each has `when`, `step`, and
            the scores of each text by its name.
        unit: the score to draw, `perplexity` or `word_perplexity`.
        picture: a PNG file.
    """
    # The figure needs no display and does not change the backend that a notebook has chosen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    base_model, result = history[0], history[-1]
    names = [name for name, scores in base_model.items() if isinstance(scores, Mapping)]
    for name, color in zip(names, _COLORS):
        axes.axhline(base_model[name][unit], color=color, linestyle=":", linewidth=1, label=f"{name}, base model")
        # The last measurement is of the chosen weights, which may be those of an earlier update.
        points = [point for point in history[:-1] if name in point]
        steps, values = zip(*((point["step"], point[name][unit]) for point in points))
        axes.plot(steps, values, color=color, marker=".", label=name)
        axes.plot(result["step"], result[name][unit], color=color, marker="o", markerfacecolor="none",
                  linestyle="none", label=f"{name}, result")  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    low, high = axes.get_ylim()
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:,.4g}") if high / low < 10 else NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="update", ylabel="perplexity of a word" if unit == "word_perplexity" else "perplexity of a token")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
    with file_aside(picture) as aside:
        figure.savefig(aside, dpi=120, format="png")
