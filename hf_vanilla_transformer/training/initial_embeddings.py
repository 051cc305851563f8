"""Initial embeddings from counts: tokens that occur in the same rows start near each other.

A sentence and its translation are one row, so that a word and its translation start near each other too: a Transformer
that shares the vocabulary of both languages need not learn its dictionary from nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import datasets
import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

# Contexts are smoothed by this power, so that rare ones count less (Levy, Goldberg and Dagan 2015, section 3.2).
_SMOOTHING = 0.75
# More rows, or rows with more pairs of tokens, change the embeddings little; so many are about a minute's work.
_ROWS = 200_000
_PAIRS = 2_000_000_000
_CHUNK = 1000


def cooccurrence_embeddings(
    rows: Iterable[np.ndarray], vocab_size: int, width: int, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Truncated singular vectors of the positive pointwise mutual information of tokens in the same row.

    The matrix is that of Levy and Goldberg 2014 (section 3) with whole rows as contexts (Levy, Søgaard and Goldberg
    2017, who do so for sentences and their translations); the singular values enter with their square root (Levy,
    Goldberg and Dagan 2015, section 3.3).

    Args:
        rows: the token ids of each row; how often a token occurs within a row does not matter. Of rows with more than
            two thousand million pairs of tokens evenly spaced ones are taken.
        vocab_size: number of tokens.
        width: of an embedding; at most `vocab_size`.
        seed: of the random projection that finds the singular vectors (Halko et al. 2011).

    Returns:
        The embeddings, (vocabulary, width), and which tokens have one, (vocabulary,): a token that is in no row, or
        alone in its rows, has zeros.

    Raises:
        ValueError: `width` exceeds the vocabulary, a token is not in it, or no two tokens share a row.
    """
    if width > vocab_size:
        raise ValueError(f"width={width} exceeds the vocabulary of {vocab_size} tokens: there are no more directions.")
    counts = _count_pairs(rows, vocab_size)
    first, second = counts.indices()
    if not len(first):
        raise ValueError("No two tokens share a row, so there is nothing to learn embeddings from.")
    occurrences = torch.zeros(vocab_size, dtype=torch.float64).index_add_(0, first, counts.values())
    context = occurrences**_SMOOTHING
    context /= context.sum()
    information = (counts.values() / (occurrences[first] * context[second])).log()
    positive = information > 0
    matrix = torch.sparse_coo_tensor(
        torch.stack([first[positive], second[positive]]),
        information[positive].float(),
        (vocab_size, vocab_size),
        is_coalesced=True,  # sorted and single, as the counts are
        check_invariants=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left, values, _ = torch.svd_lowrank(matrix, q=min(width + 16, vocab_size), niter=2)
    embeddings = left[:, :width] * values[:width].sqrt()
    known = torch.zeros(vocab_size, dtype=torch.bool)
    known[first[positive]] = True
    embeddings[~known] = 0.0
    return embeddings, known


@torch.no_grad()
def start_from_cooccurrence(embedding: torch.Tensor, rows: Iterable[np.ndarray], *, seed: int = 0) -> int:
    """Writes `cooccurrence_embeddings` into an embedding matrix, at the scale its random values have.

    Args:
        embedding: (vocabulary, width), already initialised; tokens that the rows do not tell about keep their values.
        rows: the token ids of each row.
        seed: see `cooccurrence_embeddings`.

    Returns:
        How many tokens got new values.
    """
    values, known = cooccurrence_embeddings(rows, *embedding.shape, seed=seed)
    scale = embedding[known].norm(dim=1).mean() / values[known].norm(dim=1).mean()
    embedding[known] = (values[known] * scale).to(embedding)
    return int(known.sum())


def evenly_spaced(count: int) -> range:
    """Which of `count` rows are counted where there are more than are needed."""
    return range(0, count, max(1, -(-count // _ROWS)))


def whole_texts(tokenizer: PreTrainedTokenizerBase, texts: datasets.Dataset) -> Iterator[np.ndarray]:
    """The token ids of texts (column `text`), each as long as it is and without special tokens."""
    chosen = texts.select(evenly_spaced(len(texts)))
    for start in range(0, len(chosen), _CHUNK):
        chunk = chosen[start : start + _CHUNK]["text"]
        for ids in tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]:
            yield np.asarray(ids, dtype=np.int64)


def _count_pairs(rows: Iterable[np.ndarray], vocab_size: int) -> torch.Tensor:
    """In how many rows two different tokens occur together; sparse, coalesced, (vocabulary, vocabulary), float64."""
    tokens = [np.unique(np.asarray(row, dtype=np.int64)) for row in rows]
    tokens = tokens[:: max(1, -(-sum(len(row) ** 2 for row in tokens) // _PAIRS))]
    numbers = np.repeat(np.arange(len(tokens)), [len(row) for row in tokens])
    ids = np.concatenate([*tokens, np.empty(0, np.int64)])
    if len(ids) and not 0 <= ids.min() <= ids.max() < vocab_size:
        raise ValueError(
            f"The rows hold token ids from {ids.min()} to {ids.max()}, but the vocabulary has {vocab_size} tokens."
        )
    occurs = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([numbers, ids])),
        torch.ones(len(numbers), dtype=torch.float64),
        (len(tokens), vocab_size),
        is_coalesced=True,
        check_invariants=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        together = torch.sparse.mm(occurs.t(), occurs).coalesce()
    first, second = together.indices()
    different = first != second
    return torch.sparse_coo_tensor(
        torch.stack([first[different], second[different]]),
        together.values()[different],
        (vocab_size, vocab_size),
        is_coalesced=True,
        check_invariants=False,
    )
