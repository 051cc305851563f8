"""Initial embeddings from co-occurrence counts: tokens that occur in the same rows start with similar embeddings.

A sentence and its translation form one row, so a word and its translation start with similar embeddings, too. A
Transformer with one vocabulary for both languages then learns its dictionary sooner.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import datasets
import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

# Context counts are raised to this power, so that rare ones count less (Levy, Goldberg and Dagan 2015, section 3.2).
_SMOOTHING = 0.75
# More rows or pairs of tokens change the embeddings little; these limits keep the time at about a minute.
_ROWS = 200_000
_PAIRS = 2_000_000_000
_CHUNK = 1000


def cooccurrence_embeddings(
    rows: Iterable[np.ndarray], vocab_size: int, width: int, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Truncated singular vectors of the positive pointwise mutual information of tokens in the same row.

    The matrix is that of Levy and Goldberg 2014 (section 3), with entire rows as contexts (Levy, Søgaard and Goldberg
    2017 use sentences and their translations). The singular vectors are scaled by the square roots of the singular
    values (Levy, Goldberg and Dagan 2015, section 3.3).

    Args:
        rows: the token ids of each row; repetitions of a token within a row do not count. If all rows have more than
            two thousand million pairs of tokens, evenly spaced rows are used.
        vocab_size: number of tokens.
        width: of an embedding; at most `vocab_size`.
        seed: of the random projection of the singular value decomposition (Halko et al. 2011).

    Returns:
        The embeddings (vocabulary, width), and a mask (vocabulary,) of the tokens that have one. A token without
        positive information, for example one that shares no row with others, has zeros.

    Raises:
        ValueError: `width` exceeds `vocab_size`, a token id is out of range, or no two tokens share a row.
    """
    if width > vocab_size:
        raise ValueError(f"width={width} must be at most the size of the vocabulary, {vocab_size}.")
    counts = _count_pairs(rows, vocab_size)
    first, second = counts.indices()
    if not len(first):
        raise ValueError(
            "rows has no two tokens in the same row: there are no co-occurrences to count; give longer rows."
        )
    occurrences = torch.zeros(vocab_size, dtype=torch.float64).index_add_(0, first, counts.values())
    context = occurrences**_SMOOTHING
    context /= context.sum()
    information = (counts.values() / (occurrences[first] * context[second])).log()
    positive = information > 0
    matrix = torch.sparse_coo_tensor(
        torch.stack([first[positive], second[positive]]),
        information[positive].float(),
        (vocab_size, vocab_size),
        is_coalesced=True,  # indices are sorted and unique, like those of the counts
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
    """Writes `cooccurrence_embeddings` into an embedding matrix, rescaled to its mean norm.

    Args:
        embedding: (vocabulary, width), initialised and changed in place; tokens without co-occurrences keep their
            values.
        rows: the token ids of each row.
        seed: see `cooccurrence_embeddings`.

    Returns:
        The number of tokens with new values.
    """
    values, known = cooccurrence_embeddings(rows, *embedding.shape, seed=seed)
    scale = embedding[known].norm(dim=1).mean() / values[known].norm(dim=1).mean()
    embedding[known] = (values[known] * scale).to(embedding)
    return int(known.sum())


def evenly_spaced(count: int) -> range:
    """Indices of the rows to count: all, or evenly spaced ones if there are more than needed."""
    return range(0, count, max(1, -(-count // _ROWS)))


def untruncated_texts(tokenizer: PreTrainedTokenizerBase, texts: datasets.Dataset) -> Iterator[np.ndarray]:
    """The token ids of each text (column `text`), neither truncated nor with special tokens."""
    chosen = texts.select(evenly_spaced(len(texts)))
    for start in range(0, len(chosen), _CHUNK):
        chunk = chosen[start : start + _CHUNK]["text"]
        for ids in tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]:
            yield np.asarray(ids, dtype=np.int64)


def _count_pairs(rows: Iterable[np.ndarray], vocab_size: int) -> torch.Tensor:
    """The number of rows that each pair of different tokens shares; sparse (vocabulary, vocabulary), float64."""
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
