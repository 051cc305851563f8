"""Word alignments from attention, and how far they are from those of a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from .attention_map import AttentionMap

Link = tuple[int, int]


def attention_alignment(
    attention: AttentionMap, *, layers: list[int] | None = None, direction: Literal["target", "source"] = "target"
) -> set[Link]:
    """The strongest link of each word.

    Args:
        attention: from `cross_attention`.
        layers: mean over the heads of these layers (all by default).
        direction: `target` links each target word to the source word it attends to most; `source` links each source
            word to the target word that attends to it most.

    Returns:
        Pairs (source word, target word), indices into `attention.source_tokens` and `attention.target_tokens`.

    Raises:
        ValueError: a direction or a layer that does not exist.
    """
    weights = attention.mean(layers)
    if direction == "target":
        return {(int(source), target) for target, source in enumerate(weights.argmax(dim=1))}
    if direction == "source":
        return {(source, int(target)) for source, target in enumerate(weights.argmax(dim=0))}
    raise ValueError(f"direction={direction!r} must be 'target' or 'source'.")


def alignment_error_rate(
    alignments: Iterable[Iterable[Link]], sure: Iterable[Iterable[Link]], possible: Iterable[Iterable[Link]]
) -> float:
    """The alignment error rate of Och and Ney (2003): 1 - (|A and S| + |A and P|) / (|A| + |S|), 0 is perfect.

    The counts are summed over all sentences.

    Args:
        alignments: the links to judge, a collection for each sentence.
        sure: the links that must be there.
        possible: the links that may be there; sure links count among them whether listed or not.

    Raises:
        ValueError: different numbers of sentences, or no link at all.
    """
    alignments, sure, possible = list(alignments), list(sure), list(possible)
    if not len(alignments) == len(sure) == len(possible):
        raise ValueError(
            f"There are {len(alignments)} alignments, but {len(sure)} sentences with sure and {len(possible)} with "
            "possible links: give one of each for every sentence."
        )
    found = linked = agreeing = 0
    for links, must, may in zip(alignments, sure, possible):
        links, must, may = ({(int(i), int(j)) for i, j in some} for some in (links, must, may))
        found += len(links)
        linked += len(must)
        agreeing += len(links & must) + len(links & (must | may))
    if found + linked == 0:
        raise ValueError("Neither the alignments nor the references have a link: there is nothing to compare.")
    return 1.0 - agreeing / (found + linked)
