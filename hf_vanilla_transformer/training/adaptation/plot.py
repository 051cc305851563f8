"""perplexity.png: what is learned of the domain, and what is forgotten of everything else, over the updates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .course import DOMAIN, GENERAL

_COLOURS = {DOMAIN: "tab:blue", GENERAL: "tab:orange"}


def plot_course(course: list[dict[str, Any]], unit: str, picture: Path) -> None:
    """Draws `picture`: one line a text over the updates, with the base model's perplexity as a dotted line beside it.

    Args:
        course: of `course_of`.
        unit: which of the scores is drawn, `perplexity` or `word_perplexity`.
        picture: PNG file.
    """
    # The figure is drawn without a screen, and without touching the backend a notebook has chosen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, colour in _COLOURS.items():
        if name not in course[0]:
            continue
        before = course[0][name][unit]
        axes.axhline(before, color=colour, linestyle=":", linewidth=1, label=f"{name}, base model")
        # The last measurement is of the chosen weights, which may be those of an earlier update.
        points = [point for point in course[:-1] if name in point]
        steps, values = zip(*((point["step"], point[name][unit]) for point in points))
        axes.plot(steps, values, color=colour, marker=".", label=name)
        axes.plot(course[-1]["step"], course[-1][name][unit], color=colour, marker="o", markerfacecolor="none",
                  linestyle="none", label=f"{name}, result")  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    low, high = axes.get_ylim()
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:,.4g}") if high / low < 10 else NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="update", ylabel="perplexity of a word" if unit == "word_perplexity" else "perplexity of a token")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
    aside = picture.with_name(f".{picture.name}")
    figure.savefig(aside, dpi=120, format="png")
    os.replace(aside, picture)
