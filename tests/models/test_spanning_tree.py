"""The best tree against all trees, tried one by one."""

import itertools

import numpy as np
import pytest

from hf_vanilla_transformer.models.spanning_tree_vanilla import maximum_spanning_tree


def reaches_root(heads):
    """Whether the heads of every word lead to the root."""
    for word in range(1, len(heads) + 1):
        seen = set()
        while word != 0:
            if word in seen:
                return False
            seen.add(word)
            word = heads[word - 1]
    return True


def best_by_trying(scores, single_root):
    """The greatest sum over all trees; None if every tree has a forbidden arc."""
    words = len(scores)
    best = None
    for heads in itertools.product(range(words + 1), repeat=words):
        if not reaches_root(heads) or (single_root and heads.count(0) != 1):
            continue
        total = sum(scores[word, head] for word, head in enumerate(heads))
        if np.isfinite(total) and (best is None or total > best):
            best = total
    return best


def total(scores, heads):
    return scores[np.arange(len(heads)), heads].sum()


@pytest.mark.parametrize("single_root", [True, False])
@pytest.mark.parametrize("words", [1, 2, 3, 4, 5])
def test_no_tree_is_better(words, single_root):
    generator = np.random.default_rng(words)
    for _ in range(40 if words < 5 else 15):
        scores = generator.normal(size=(words, words + 1)) * 10.0 ** generator.integers(-2, 4)
        heads = maximum_spanning_tree(scores, single_root)
        assert reaches_root(heads.tolist())
        assert not single_root or heads.tolist().count(0) == 1
        assert total(scores, heads) == pytest.approx(best_by_trying(scores, single_root))


@pytest.mark.parametrize("single_root", [True, False])
def test_ties_and_forbidden_arcs(single_root):
    generator = np.random.default_rng(0)
    trees = 0
    for _ in range(150):
        scores = generator.integers(-2, 3, size=(4, 5)).astype(float)
        scores[generator.random(scores.shape) < 0.4] = -np.inf
        expected = best_by_trying(scores, single_root)
        if expected is None:
            with pytest.raises(ValueError, match=r"scores.*every tree"):
                maximum_spanning_tree(scores, single_root)
            continue
        trees += 1
        heads = maximum_spanning_tree(scores, single_root)
        assert reaches_root(heads.tolist())
        assert total(scores, heads) == pytest.approx(expected)
    assert 10 < trees < 150


def test_cycles_within_cycles():
    """The best heads form a cycle, and after its contraction they form another one."""
    scores = np.full((6, 7), -50.0)
    for word, head, score in [(1, 2, 9), (2, 1, 9), (3, 4, 9), (4, 3, 9), (5, 6, 9), (6, 5, 9)]:
        scores[word - 1, head] = score
    for word, head, score in [(1, 3, 5), (3, 5, 5), (5, 1, 5), (2, 0, -7), (4, 0, -9), (6, 0, -8)]:
        scores[word - 1, head] = score
    heads = maximum_spanning_tree(scores)
    assert reaches_root(heads.tolist()) and heads.tolist().count(0) == 1
    # Root at 2: the cycle 1-2 opens there, 5 comes to 1 and 3 to 5.
    assert heads.tolist() == [2, 0, 5, 3, 1, 5]


def test_long_sentences_are_trees_too():
    generator = np.random.default_rng(1)
    scores = np.log(generator.dirichlet(np.ones(301), size=300))
    heads = maximum_spanning_tree(scores)
    assert reaches_root(heads.tolist()) and heads.tolist().count(0) == 1
    # Words in a ring: as many contractions as there can be.
    ring = np.full((300, 301), -10.0)
    ring[np.arange(300), np.roll(np.arange(1, 301), 1)] = 0.0
    assert total(ring, maximum_spanning_tree(ring)) == -10.0


def test_degenerate_sentences_and_bad_scores():
    assert maximum_spanning_tree(np.zeros((0, 1))).tolist() == []
    assert maximum_spanning_tree(np.array([[0.3, 9.0]])).tolist() == [0]
    with pytest.raises(ValueError, match=r"scores.*\(3, 3\)"):
        maximum_spanning_tree(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"scores.*NaN"):
        maximum_spanning_tree(np.array([[np.nan, 0.0]]))
    with pytest.raises(ValueError, match=r"scores.*every tree"):
        maximum_spanning_tree(np.full((2, 3), -np.inf))
