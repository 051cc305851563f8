"""The dependency tree with the best sum of scores: Chu and Liu 1965, Edmonds 1967; for parsing McDonald et al. 2005."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def maximum_spanning_tree(scores: np.ndarray, single_root: bool = True) -> np.ndarray:
    """The heads of the tree whose arcs have the greatest sum of scores.

    Args:
        scores: (words, words + 1); row i has the scores of the possible heads of word i + 1. Head 0 is the root, head k
            the k-th word. -inf forbids an arc. The score of a word as its own head is ignored.
        single_root: whether exactly one word depends on the root, as in Universal Dependencies.

    Returns:
        (words,), the head of each word, 0 for the root.

    Raises:
        ValueError: scores has another shape, contains NaN or +inf, or forbids every tree.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != scores.shape[0] + 1:
        raise ValueError(f"scores has the shape {scores.shape}; give (words, words + 1), the root first.")
    words = len(scores)
    if words == 0:
        return np.zeros(0, dtype=np.int64)
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError("scores contains NaN or +inf, so that no sum is the greatest; give finite scores or -inf.")

    # [dependent, head], each from 0 to words. The root has no head, and no word is its own head.
    arcs = np.full((words + 1, words + 1), -np.inf)
    arcs[1:] = scores
    np.fill_diagonal(arcs, -np.inf)
    allowed = np.isfinite(arcs)
    # Differences of -inf would be NaN, so forbidden arcs get a finite score that no best tree can afford.
    possible = arcs[allowed]
    span = possible.max() - possible.min() if possible.size else 0.0
    worst = (possible.min() if possible.size else 0.0) - (words + 1) * (span + 1.0)
    arcs[1:] = np.where(allowed[1:], arcs[1:], worst)
    np.fill_diagonal(arcs, -np.inf)
    if single_root:
        # An arc from the root costs more than all other arcs can differ by, so that the best tree has only one
        # (Stanojević and Cohen 2021).
        finite = arcs[np.isfinite(arcs)]
        arcs[1:, 0] -= (words + 1) * (finite.max() - finite.min() + 1.0)

    heads = _arborescence(arcs)[1:]
    dependents = np.arange(1, words + 1)
    if not allowed[dependents, heads].all() or (single_root and np.count_nonzero(heads == 0) != 1):
        raise ValueError("scores forbids every tree; allow each word a head that leads to the root.")
    return heads


@dataclass(frozen=True)
class _Contraction:
    """A cycle contracted to one node, the last of a smaller graph, with the data to expand it again.

    Attributes:
        outside: the nodes outside the cycle, in the order of their new numbers.
        heads: the best head of each node; those of the nodes in the cycle form the cycle.
        exits: for each node outside, the node of the cycle that would be its head.
        entries: for each node outside, the node of the cycle whose head it would be.
    """

    outside: np.ndarray
    heads: np.ndarray
    exits: np.ndarray
    entries: np.ndarray


def _arborescence(arcs: np.ndarray) -> np.ndarray:
    """The heads of the best tree from node 0, for finite arcs (nodes, nodes) as [dependent, head]."""
    contractions = []
    while True:
        heads = arcs.argmax(axis=1)
        heads[0] = 0
        cycle = _find_cycle(heads)
        if cycle is None:
            break
        outside = np.setdiff1d(np.arange(len(arcs)), cycle)
        last = len(outside)
        leaving = arcs[np.ix_(outside, cycle)]
        # A node that gets a head outside the cycle loses its head in the cycle.
        entering = arcs[np.ix_(cycle, outside)] - arcs[cycle, heads[cycle]][:, None]
        smaller = np.full((last + 1, last + 1), -np.inf)
        smaller[:last, :last] = arcs[np.ix_(outside, outside)]
        smaller[:last, last] = leaving.max(axis=1)
        smaller[last, :last] = entering.max(axis=0)
        smaller[0] = -np.inf
        contractions.append(_Contraction(outside, heads, cycle[leaving.argmax(axis=1)], cycle[entering.argmax(axis=0)]))
        arcs = smaller

    for contraction in reversed(contractions):
        last = len(contraction.outside)
        opened = contraction.heads.copy()
        inner = heads[:last]
        opened[contraction.outside] = np.where(
            inner == last, contraction.exits, contraction.outside[np.minimum(inner, last - 1)]
        )
        opened[0] = 0
        opened[contraction.entries[heads[last]]] = contraction.outside[heads[last]]
        heads = opened
    return heads


def _find_cycle(heads: np.ndarray) -> np.ndarray | None:
    """The nodes of one cycle, in ascending order; None if all nodes lead to node 0."""
    seen = np.zeros(len(heads), dtype=np.int64)  # 0 for unseen, else the walk that visited the node
    seen[0] = -1
    for start in range(1, len(heads)):
        node = start
        while seen[node] == 0:
            seen[node] = start
            node = int(heads[node])
        if seen[node] == start:
            cycle = [node]
            while heads[cycle[-1]] != node:
                cycle.append(int(heads[cycle[-1]]))
            return np.array(sorted(cycle))
    return None


__all__ = ["maximum_spanning_tree"]
