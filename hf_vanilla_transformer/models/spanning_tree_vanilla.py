"""The best dependency tree for scores of arcs: Chu and Liu 1965, Edmonds 1967; for parsing McDonald et al. 2005."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def maximum_spanning_tree(scores: np.ndarray, single_root: bool = True) -> np.ndarray:
    """The heads of the tree whose arcs have the greatest sum of scores.

    Args:
        scores: (words, words + 1); row i has the scores of the heads that the word i + 1 may have, where head 0 is the
            root and head k the k-th word. -inf forbids an arc. A word's score for itself is not looked at.
        single_root: whether exactly one word hangs on the root, as in Universal Dependencies.

    Returns:
        (words,), the head of each word, 0 for the root.

    Raises:
        ValueError: the scores have another shape, NaN or +inf among them, or forbid every tree.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != scores.shape[0] + 1:
        raise ValueError(f"scores has the shape {scores.shape}; give (words, words + 1), the root first.")
    words = len(scores)
    if words == 0:
        return np.zeros(0, dtype=np.int64)
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError("scores has NaN or +inf among its elements: there is no greatest sum.")

    # (head or dependent 0 … words) squared, [dependent, head]. The root depends on nothing, no word on itself.
    arcs = np.full((words + 1, words + 1), -np.inf)
    arcs[1:] = scores
    np.fill_diagonal(arcs, -np.inf)
    allowed = np.isfinite(arcs)
    # Differences of forbidden arcs would be NaN, so they become merely too bad to be worth it.
    possible = arcs[allowed]
    span = possible.max() - possible.min() if possible.size else 0.0
    worst = (possible.min() if possible.size else 0.0) - (words + 1) * (span + 1.0)
    arcs[1:] = np.where(allowed[1:], arcs[1:], worst)
    np.fill_diagonal(arcs, -np.inf)
    if single_root:
        # Every arc from the root costs more than all the others can differ by, so that the best tree has as few of
        # them as there can be, which is one (Stanojević and Cohen 2021).
        finite = arcs[np.isfinite(arcs)]
        arcs[1:, 0] -= (words + 1) * (finite.max() - finite.min() + 1.0)

    heads = _arborescence(arcs)[1:]
    dependents = np.arange(1, words + 1)
    if not allowed[dependents, heads].all() or (single_root and np.count_nonzero(heads == 0) != 1):
        raise ValueError("scores forbids every tree: allow each word a head from which the root can be reached.")
    return heads


@dataclass(frozen=True)
class _Contraction:
    """A cycle that became one node, the last of a smaller graph, and what is needed to open it again.

    Attributes:
        outside: the nodes that stayed, in the order of their new numbers.
        heads: the best head of each node; those of the cycle's nodes go round it.
        exits: for each node outside, the node of the cycle that would be its head.
        entries: for each node outside, the node of the cycle that would get it as its head.
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
        # Another head for a node of the cycle costs it the head that it has in the cycle.
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
    """The nodes of one cycle that never reaches node 0, in ascending order; None if all nodes reach it."""
    seen = np.zeros(len(heads), dtype=np.int64)  # 0 for not yet, else the walk that came by
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
