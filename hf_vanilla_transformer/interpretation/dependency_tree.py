"""Drawings of dependency trees: an outline for the terminal, and arcs above the words as SVG."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape

from ..data.readers.trees import tree_problem

# Sizes of the drawing in pixels.
_CHARACTER = 9
_GAP = 22
_STEP = 26
_MARGIN = 12


def tree_text(words: Sequence[str], heads: Sequence[int], relations: Sequence[str]) -> str:
    """Draws the tree as an outline: each word below its head, in sentence order, with its number and relation.

    Args:
        words: of the sentence.
        heads: of each word, counted from 1; 0 for the root.
        relations: of each word to its head.

    Raises:
        ValueError: the lists differ in length, or the heads do not form a tree.
    """
    _check(words, heads, relations)
    children: list[list[int]] = [[] for _ in range(len(words) + 1)]
    for word, head in enumerate(heads, start=1):
        children[head].append(word)
    lines: list[str] = []
    # A stack of words, each with the prefix of its own line and the prefix of its children's lines.
    stack = [(word, "", "") for word in reversed(children[0])]
    while stack:
        word, prefix, child_prefix = stack.pop()
        lines.append(f"{prefix}{words[word - 1]} ({word}, {relations[word - 1]})")
        last = children[word][-1:] or [0]
        for child in reversed(children[word]):
            is_last = child == last[0]
            branch, line = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            stack.append((child, child_prefix + branch, child_prefix + line))
    return "\n".join(lines)


def tree_svg(words: Sequence[str], heads: Sequence[int], relations: Sequence[str]) -> str:
    """Draws the tree as SVG: arcs from heads to dependents above the words, labeled with relations.

    Args:
        words, heads, relations: as for `tree_text`.

    Returns:
        The text of an ``.svg`` file, which can also be embedded in HTML.

    Raises:
        ValueError: as for `tree_text`.
    """
    _check(words, heads, relations)
    widths = [max(_width(word), _width(relation), 2) * _CHARACTER + _GAP for word, relation in zip(words, relations)]
    middles = [_MARGIN + sum(widths[:index]) + width / 2 for index, width in enumerate(widths)]
    levels = _levels(heads)
    base = _MARGIN + (max(levels) + 1) * _STEP
    width, height = sum(widths) + 2 * _MARGIN, base + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" fill="none" stroke="currentColor">'
    ]
    for index, (head, relation, level) in enumerate(zip(heads, relations, levels)):
        end, top = middles[index], base - level * _STEP
        if head == 0:
            parts.append(f'<path d="M {end:.1f} {_MARGIN + 12} V {base}"/>')
            label_x, label_y = end, _MARGIN + 8
        else:
            # Beside the middle of the head, so that outgoing arcs do not meet the incoming one.
            start = middles[head - 1] + (6 if end > middles[head - 1] else -6)
            bend = min(8, abs(end - start) / 2) * (1 if end > start else -1)
            parts.append(
                f'<path d="M {start:.1f} {base} V {top + 8:.1f} Q {start:.1f} {top:.1f} {start + bend:.1f} {top:.1f} '
                f'H {end - bend:.1f} Q {end:.1f} {top:.1f} {end:.1f} {top + 8:.1f} V {base}"/>'
            )
            label_x, label_y = (start + end) / 2, top - 4
        parts.append(f'<path d="M {end - 4:.1f} {base - 7} L {end:.1f} {base} L {end + 4:.1f} {base - 7}"/>')
        parts.append(_text(label_x, label_y, relation, 11))
    parts += [_text(middle, base + 20, word, 15) for middle, word in zip(middles, words)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _check(words: Sequence[str], heads: Sequence[int], relations: Sequence[str]) -> None:
    if not len(words) == len(heads) == len(relations) or not words:
        raise ValueError(
            f"There are {len(words)} words, {len(heads)} heads and {len(relations)} relations; give one head and one "
            "relation a word."
        )
    problem = tree_problem(list(heads), single_root=False)
    if problem is not None:
        raise ValueError(f"heads={list(heads)} do not form a tree: {problem.value}.")


def _levels(heads: Sequence[int]) -> list[int]:
    """The level of the arc of each word: above all arcs that it overlaps, so that no two arcs coincide."""
    spans = [(min(word, head), max(word, head)) if head else (word, word) for word, head in enumerate(heads, start=1)]
    levels = [0] * len(spans)
    drawn: list[int] = []
    for index in sorted(range(len(spans)), key=lambda index: spans[index][1] - spans[index][0]):
        if heads[index]:
            low, high = spans[index]
            taken = [levels[other] for other in drawn if spans[other][0] < high and low < spans[other][1]]
            levels[index] = 1 + max(taken, default=0)
            drawn.append(index)
    top = max(levels) + 1
    return [top if head == 0 else level for head, level in zip(heads, levels)]


def _text(x: float, y: float, text: str, size: int) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle" fill="currentColor" stroke="none">'
        f"{escape(text)}</text>"
    )


def _width(text: str) -> int:
    """Width of a text in Latin characters; Korean, Chinese and Japanese characters count twice."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


__all__ = ["tree_svg", "tree_text"]
