"""Word alignments from attention."""

from __future__ import annotations

from typing import Literal

from .attention_map import AttentionMap

Link = tuple[int, int]


def attention_alignment(
    attention: AttentionMap, *, layers: list[int] | None = None, direction: Literal["target", "source"] = "target"
) -> set[Link]:
    """Links each word to the word with the highest attention weight.

    Args:
        attention: from `cross_attention`.
        layers: average over the heads of these layers (all by default).
        direction: `target` links each target word to the source word it attends to most; `source` links each source
            word to the target word that attends to it most.

    Returns:
        Pairs (source word, target word) of indices into `attention.source_tokens` and `attention.target_tokens`.

    Raises:
        ValueError: `direction` or a layer does not exist.
    """
    weights = attention.mean(layers)
    if direction == "target":
        return {(int(source), target) for target, source in enumerate(weights.argmax(dim=1))}
    if direction == "source":
        return {(source, int(target)) for source, target in enumerate(weights.argmax(dim=0))}
    raise ValueError(f"direction={direction!r} must be 'target' or 'source'.")
