"""Pictures of attention, in the manner of Bahdanau et al. 2015, Figure 3: source on top, target down the side."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch

# The object-oriented interface of matplotlib: no display, no global state, no effect on a caller's own figures.
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .attention_map import AttentionMap

_INCHES_A_WORD = 0.42


def plot_attention(
    attention: AttentionMap, path: str | Path, *, layers: list[int] | None = None, title: str | None = None
) -> Path:
    """Draws the mean over heads and layers as one grayscale picture: white is much attention, black none.

    Args:
        attention: from `cross_attention` or `self_attention`.
        path: the file to write; its ending decides the format (.png, .svg, .pdf).
        layers: mean over these layers only.
        title: above the picture.

    Returns:
        `path`.

    Raises:
        ValueError: an ending that is no picture format.
    """
    weights = attention.mean(layers)
    figure = Figure(
        figsize=(
            1.6 + _INCHES_A_WORD * len(attention.source_tokens),
            1.4 + _INCHES_A_WORD * len(attention.target_tokens),
        ),
        layout="constrained",
    )
    axes = figure.add_subplot()
    _draw(axes, weights, attention)
    if title:
        figure.suptitle(title, fontsize=11)
    return _save(figure, Path(path))


def plot_attention_heads(attention: AttentionMap, path: str | Path, *, layer: int = -1) -> Path:
    """Draws every head of one layer side by side, in a grid.

    Args:
        attention: from `cross_attention` or `self_attention`.
        path: the file to write; its ending decides the format (.png, .svg, .pdf).
        layer: which layer, from 0, or from the end with -1.

    Returns:
        `path`.

    Raises:
        ValueError: a layer that the model does not have, or an ending that is no picture format.
    """
    count = attention.weights.shape[0]
    if not -count <= layer < count:
        raise ValueError(f"layer={layer} does not exist: the model has layers 0 to {count - 1}.")
    heads = attention.weights[layer]
    columns = min(4, len(heads))
    rows = -(-len(heads) // columns)
    width = 1.3 + 0.3 * len(attention.source_tokens)
    height = 1.3 + 0.3 * len(attention.target_tokens)
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    for index, weights in enumerate(heads):
        axes = figure.add_subplot(rows, columns, index + 1)
        _draw(axes, weights, attention)
        axes.set_xlabel(f"layer {layer % count}, head {index}")
    return _save(figure, Path(path))


def _draw(axes: Axes, weights: torch.Tensor, attention: AttentionMap) -> None:
    axes.imshow(weights.numpy(), cmap="gray", vmin=0.0, vmax=1.0, aspect="equal", interpolation="nearest")
    axes.set_xticks(range(len(attention.source_tokens)), _literal(attention.source_tokens), rotation=90)
    axes.set_yticks(range(len(attention.target_tokens)), _literal(attention.target_tokens))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)


def _literal(words: tuple[str, ...]) -> list[str]:
    """Dollar signs would start a formula."""
    return [word.replace("$", r"\$") for word in words]


def _save(figure: Figure, path: Path) -> Path:
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    ending = path.suffix.lower().lstrip(".")
    if ending not in formats:
        raise ValueError(f"{path} does not end like a picture: use one of {', '.join(sorted(formats))}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, suffix=path.suffix)
    os.close(handle)
    try:
        figure.savefig(aside, dpi=150, format=ending)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return path
