"""Pictures of attention maps, as in Bahdanau et al. 2015, Figure 3: source words on top, target words on the left."""

from __future__ import annotations

from pathlib import Path

import torch

# Object-oriented matplotlib needs no display and does not affect a caller's own figures.
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..files import file_aside
from .attention_map import AttentionMap

_INCHES_PER_WORD = 0.42


def plot_attention(
    attention: AttentionMap, path: str | Path, *, layers: list[int] | None = None, title: str | None = None
) -> Path:
    """Draws the average over heads and layers as one grayscale picture: white is weight 1, black is 0.

    Args:
        attention: from `cross_attention` or `self_attention`.
        path: the file to write; its ending decides the format (.png, .svg, .pdf).
        layers: average over these layers only.
        title: shown above the picture.

    Returns:
        `path`.

    Raises:
        ValueError: the ending of `path` is not a picture format, or the model does not have such a layer.
    """
    weights = attention.mean(layers)
    figure = Figure(
        figsize=(
            1.6 + _INCHES_PER_WORD * len(attention.source_tokens),
            1.4 + _INCHES_PER_WORD * len(attention.target_tokens),
        ),
        layout="constrained",
    )
    axes = figure.add_subplot()
    _draw(axes, weights, attention)
    if title:
        figure.suptitle(title, fontsize=11)
    return _save(figure, Path(path))


def plot_attention_heads(attention: AttentionMap, path: str | Path, *, layer: int = -1) -> Path:
    """Draws every head of one layer in a grid.

    Args:
        attention: from `cross_attention` or `self_attention`.
        path: the file to write; its ending decides the format (.png, .svg, .pdf).
        layer: index of the layer; negative indices count from the end.

    Returns:
        `path`.

    Raises:
        ValueError: the ending of `path` is not a picture format, or the model does not have such a layer.
    """
    count = attention.weights.shape[0]
    if not -count <= layer < count:
        raise ValueError(f"layer={layer} does not exist; the model has layers 0 to {count - 1}.")
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
    """Escapes dollar signs, which would start a formula."""
    return [word.replace("$", r"\$") for word in words]


def _save(figure: Figure, path: Path) -> Path:
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    ending = path.suffix.lower().lstrip(".")
    if ending not in formats:
        raise ValueError(
            f"path={str(path)!r} does not end with a picture format; use one of {', '.join(sorted(formats))}."
        )
    with file_aside(path) as aside:
        figure.savefig(aside, dpi=150, format=ending)
    return path
