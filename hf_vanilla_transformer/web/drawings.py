"""Attention maps, bars and tables as HTML without scripts, images or fonts from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import torch

from ..interpretation import AttentionMap

# Blue over the page's own background, light or dark. The weight is the opacity.
_INK = "37, 99, 235"
_HEAD = "padding: 2px 4px; font-weight: normal; white-space: nowrap;"
_UP = "writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 4px 2px;"


def attention_html(attention: AttentionMap, *, layer: int | None = None, head: int | None = None) -> str:
    """A table with a row for each query token and a column for each key token; a tooltip shows the weight of a cell.

    Args:
        attention: from `cross_attention` or `self_attention`.
        layer: layer, from 0; the mean over all layers if None.
        head: head, from 0; the mean over all heads if None.

    Raises:
        ValueError: the model has no such layer or head.
    """
    weights = _select(attention, layer, head)
    top = "".join(
        f'<th style="{_HEAD}"><div style="{_UP}">{escape(word)}</div></th>' for word in attention.source_tokens
    )
    rows = [
        f'<tr><th scope="row" style="{_HEAD} text-align: right;">{escape(word)}</th>'
        f"{_cells(row, word, attention.source_tokens, 24)}</tr>"
        for word, row in zip(attention.target_tokens, weights.tolist())
    ]
    return (
        '<div style="overflow-x: auto;">'
        f'<table class="attention" data-layer="{_name(layer)}" data-head="{_name(head)}" '
        f'style="border-collapse: collapse; font-size: 14px; width: auto;"><thead><tr><td></td>{top}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def all_heads_html(attention: AttentionMap, *, layer: int | None = None) -> str:
    """Small tables of all heads of a layer, side by side; a tooltip shows the tokens and the weight of a cell.

    Args:
        attention: from `cross_attention` or `self_attention`.
        layer: layer, from 0; the mean over all layers if None.

    Raises:
        ValueError: the model has no such layer.
    """
    figures = []
    for head in range(attention.weights.shape[1]):
        weights = _select(attention, layer, head)
        rows = "".join(
            f"<tr>{_cells(row, word, attention.source_tokens, 11)}</tr>"
            for word, row in zip(attention.target_tokens, weights.tolist())
        )
        figures.append(
            f'<figure style="margin: 0;"><table class="attention" data-layer="{_name(layer)}" data-head="{head}" '
            f'style="border-collapse: collapse; width: auto;"><tbody>{rows}</tbody></table>'
            f'<figcaption style="font-size: 13px;">head {head}</figcaption></figure>'
        )
    return f'<div style="display: flex; flex-wrap: wrap; gap: 16px;">{"".join(figures)}</div>'


def bars_html(title: str, tokens: Sequence[tuple[str, float]]) -> str:
    """Tokens with their probabilities as bars, in the given order.

    Args:
        title: text above the bars.
        tokens: each with its probability in [0, 1].
    """
    bars = "".join(
        f'<div class="bar" style="display: flex; align-items: center; gap: 8px; margin: 3px 0;">'
        f'<code style="flex: 0 0 9em; text-align: right; overflow: hidden; white-space: pre;">{escape(token)}</code>'
        f'<span style="flex: 1;"><span style="display: block; height: 16px; border-radius: 3px; '
        f'width: {100 * probability:.2f}%; min-width: 1px; background: rgb({_INK});"></span></span>'
        f'<span style="flex: 0 0 5em; font-variant-numeric: tabular-nums;">{100 * probability:.2f} %</span></div>'
        for token, probability in tokens
    )
    return f'<div class="bars"><div style="margin: 6px 0;">{escape(title)}</div>{bars}</div>'


def ranking_html(translations: Sequence[tuple[str, float]]) -> str:
    """A table of translations with their log-probabilities, in the given order."""
    cell = "padding: 3px 10px;"
    rows = "".join(
        f'<tr><td style="{cell} text-align: right;">{rank}</td><td style="{cell}">{escape(text)}</td>'
        f'<td style="{cell} text-align: right; font-variant-numeric: tabular-nums;">{score:.2f}</td></tr>'
        for rank, (text, score) in enumerate(translations, 1)
    )
    return (
        '<table class="ranking" style="border-collapse: collapse; width: auto;"><thead><tr>'
        f'<th style="{cell}"></th><th style="{cell} text-align: left;">translation</th>'
        f'<th style="{cell} text-align: right;">log-probability</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _cells(row: Sequence[float], query: str, keys: Sequence[str], size: int) -> str:
    return "".join(
        f'<td style="width: {size}px; min-width: {size}px; height: {size}px; padding: 0; '
        f'border: 1px solid rgba(128, 128, 128, 0.25); background: rgba({_INK}, {weight:.3f});" '
        f'title="{escape(query)} → {escape(key)}: {weight:.2f}"></td>'
        for key, weight in zip(keys, row)
    )


def _select(attention: AttentionMap, layer: int | None, head: int | None) -> torch.Tensor:
    """The weights `(query tokens, key tokens)` of one layer and head, or means over all."""
    layers, heads = attention.weights.shape[:2]
    for name, number, count in (("layer", layer, layers), ("head", head, heads)):
        if number is not None and not 0 <= number < count:
            raise ValueError(f"{name}={number} does not exist: the model has the {name}s 0 to {count - 1}.")
    weights = attention.weights.mean(dim=0) if layer is None else attention.weights[layer]
    return weights.mean(dim=0) if head is None else weights[head]


def _name(number: int | None) -> str:
    return "mean" if number is None else str(number)
