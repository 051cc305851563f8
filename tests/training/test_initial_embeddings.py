"""Initial embeddings from co-occurrences, compared with dense float64 counts."""

import numpy as np
import pytest
import torch

from hf_vanilla_transformer.training import initial_embeddings
from hf_vanilla_transformer.training.initial_embeddings import (
    cooccurrence_embeddings,
    evenly_spaced,
    start_from_cooccurrence,
)


def random_rows(count: int = 300, vocab_size: int = 40) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    popularity = 1 / np.arange(1, vocab_size - 1)
    popularity /= popularity.sum()
    # The last two tokens: one occurs nowhere, one only alone.
    rows = [generator.choice(vocab_size - 2, size=generator.integers(2, 9), p=popularity) for _ in range(count)]
    return [*rows, np.array([vocab_size - 1])]


def dense_information(rows: list[np.ndarray], vocab_size: int) -> np.ndarray:
    """Positive pointwise mutual information with contexts smoothed by 0.75, computed in loops."""
    together = np.zeros((vocab_size, vocab_size))
    for row in rows:
        for first in set(row.tolist()):
            for second in set(row.tolist()) - {first}:
                together[first, second] += 1
    occurrences = together.sum(1)
    context = occurrences**0.75 / (occurrences**0.75).sum()
    information = np.zeros_like(together)
    for first, second in zip(*together.nonzero()):
        ratio = together[first, second] / (occurrences[first] * context[second])
        information[first, second] = max(0.0, np.log(ratio))
    return information


def test_embeddings_are_the_leading_singular_vectors_of_the_information():
    rows, vocab_size, width = random_rows(), 40, 24
    embeddings, known = cooccurrence_embeddings(rows, vocab_size, width)
    left, values, _ = np.linalg.svd(dense_information(rows, vocab_size))
    expected = left[:, :width] * np.sqrt(values[:width])
    # Signs are arbitrary, products of rows are not.
    np.testing.assert_allclose((embeddings @ embeddings.T).numpy(), expected @ expected.T, atol=2e-4)
    assert not known[-1] and not known[-2] and known[:30].all()
    assert embeddings[~known].abs().sum() == 0


def test_words_and_their_translations_have_similar_embeddings():
    generator = np.random.default_rng(1)
    # Token n of one language always comes with token n + 100 of the other.
    rows = [np.concatenate([words, words + 100]) for words in generator.integers(0, 100, size=(1000, 4))]
    embeddings, _ = cooccurrence_embeddings(rows, 200, 64)
    near = torch.nn.functional.normalize(embeddings, dim=1)
    similarity = near @ near.T
    similarity.fill_diagonal_(-1)
    assert (similarity[:100].argmax(1) == torch.arange(100, 200)).all()


def test_new_embeddings_have_the_scale_of_the_old_and_unknown_tokens_keep_theirs():
    torch.manual_seed(0)
    embedding = torch.nn.Parameter(torch.randn(40, 16) * 0.02)
    before = embedding.detach().clone()
    assert start_from_cooccurrence(embedding, random_rows()) == (before != embedding.detach()).any(1).sum()
    assert torch.equal(embedding[-2:], before[-2:])
    known = (before != embedding).any(1)
    assert embedding[known].norm(dim=1).mean().item() == pytest.approx(before[known].norm(dim=1).mean().item())


def test_embeddings_depend_on_the_seed_and_do_not_change_the_global_random_state():
    state = torch.get_rng_state()
    first, _ = cooccurrence_embeddings(random_rows(), 40, 8, seed=3)
    second, _ = cooccurrence_embeddings(random_rows(), 40, 8, seed=3)
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


def test_rows_without_co_occurrences_or_with_wrong_ids_are_refused():
    with pytest.raises(ValueError, match=r"^rows"):
        cooccurrence_embeddings([np.array([1]), np.array([2])], 10, 4)
    with pytest.raises(ValueError, match=r"width=16.*10"):
        cooccurrence_embeddings(random_rows(), 10, 16)
    with pytest.raises(ValueError, match=r"ids from 2 to 10.* 10 tokens"):
        cooccurrence_embeddings([np.array([2, 10])], 10, 4)


def test_evenly_spaced_rows_of_long_texts_are_counted(monkeypatch):
    rows = random_rows()
    every_third, _ = cooccurrence_embeddings(rows[::3], 40, 8)
    # Rows have 2 to 8 different tokens; a third of all pairs makes it every third row.
    pairs = sum(len(np.unique(row)) ** 2 for row in rows)
    monkeypatch.setattr(initial_embeddings, "_PAIRS", pairs // 3 + 1)
    counted, _ = cooccurrence_embeddings(rows, 40, 8)
    assert torch.equal(counted, every_third)
    assert list(evenly_spaced(5)) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(initial_embeddings, "_ROWS", 2)
    assert list(evenly_spaced(5)) == [0, 3]
