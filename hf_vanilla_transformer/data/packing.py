"""Sequences of token ids as one flat array, and as padded or packed matrices, without Python loops over tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Packed:
    """Sequences put end to end in rows.

    Attributes:
        values: `(rows, width)`, the ids, padded on the right.
        sequences: `(rows, width)`, the number of the sequence in its row, from 0. Padding has that of the last one.
        positions: `(rows, width)`, from 0 at the start of each sequence. Padding continues those of the last one.
        kept: `(rows, width)`, true where there is a token.
    """

    values: np.ndarray
    sequences: np.ndarray
    positions: np.ndarray
    kept: np.ndarray


def flatten(sequences: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """All ids in one array `(tokens,)`, and the length of each sequence `(sequences,)`."""
    arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    return np.concatenate(arrays), np.array([len(array) for array in arrays], dtype=np.int64)


def pad(flat: np.ndarray, lengths: np.ndarray, fill: int, width: int, left: bool = False) -> np.ndarray:
    """A matrix `(sequences, width)` with one sequence per row, padded with `fill` on the right, or on the left."""
    matrix = np.full((len(lengths), width), fill, dtype=np.int64)
    columns = np.arange(width)
    matrix[columns >= width - lengths[:, None] if left else columns < lengths[:, None]] = flat
    return matrix


def round_up(width: int, multiple: int | None) -> int:
    """The next multiple of `multiple`, or `width` itself if that is None."""
    return width if multiple is None else -(-width // multiple) * multiple


def shift_right(flat: np.ndarray, lengths: np.ndarray, first: int) -> np.ndarray:
    """Each sequence shifted right by one position: it begins with `first`, and its last id is dropped. `(tokens,)`."""
    shifted = np.roll(flat, 1)
    starts = np.cumsum(lengths) - lengths
    shifted[starts[lengths > 0]] = first
    return shifted


def place_in_rows(lengths: np.ndarray, row_length: int | None) -> np.ndarray:
    """Chooses a row for each sequence: first-fit decreasing over all sides.

    Args:
        lengths: `(sequences, sides)`.
        row_length: the maximum number of tokens of a side in one row; None puts all sequences into one row.

    Returns:
        The number of the row of each sequence, `(sequences,)`.

    Raises:
        ValueError: a sequence is longer than a row.
    """
    if row_length is None:
        return np.zeros(len(lengths), dtype=np.int64)
    longest = lengths.max(axis=1)
    if longest.max(initial=0) > row_length:
        raise ValueError(
            f"A sequence of {longest.max()} tokens does not fit into row_length={row_length}; raise row_length, or "
            "truncate the sequence."
        )
    rows = np.zeros(len(lengths), dtype=np.int64)
    room = np.full((len(lengths), lengths.shape[1]), row_length, dtype=np.int64)
    for index in np.argsort(-longest, kind="stable"):
        rows[index] = int((room >= lengths[index]).all(axis=1).argmax())
        room[rows[index]] -= lengths[index]
    return rows


def pack(flat: np.ndarray, lengths: np.ndarray, rows: np.ndarray, fill: int, multiple: int | None = None) -> Packed:
    """Puts sequences end to end in the rows that `place_in_rows` chose, in their order.

    Args:
        flat: `(tokens,)` ids of all sequences.
        lengths: `(sequences,)`.
        rows: `(sequences,)`, the row of each sequence, from 0 without gaps.
        fill: the value after the last sequence of a row.
        multiple: the width is a multiple of this.
    """
    row_count = int(rows.max()) + 1
    filled = np.bincount(rows, weights=lengths, minlength=row_count).astype(np.int64)
    width = round_up(int(filled.max()), multiple)

    starts = np.cumsum(lengths) - lengths
    within = np.arange(len(flat)) - np.repeat(starts, lengths)
    # With sequences sorted by row, the tokens have the same order in memory as in the matrix.
    order = np.argsort(rows, kind="stable")
    moved = np.concatenate([np.arange(starts[s], starts[s] + lengths[s]) for s in order])
    kept = np.arange(width) < filled[:, None]
    values = np.full((row_count, width), fill, dtype=np.int64)
    values[kept] = flat[moved]
    # A running maximum finds the start of the sequence of each column.
    columns = np.broadcast_to(np.arange(width), kept.shape)
    begins = np.zeros(kept.shape, dtype=np.int64)
    begins[kept] = np.where(within[moved] == 0, columns[kept], 0)
    # `order` lists the sequences row by row, so the number in a row counts from the first sequence of that row.
    counts = np.bincount(rows, minlength=row_count)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    sequences = np.zeros(kept.shape, dtype=np.int64)
    sequences[kept] = np.repeat(number, lengths[order])
    return Packed(
        values=values,
        sequences=np.maximum.accumulate(sequences, axis=1),
        positions=columns - np.maximum.accumulate(begins, axis=1),
        kept=kept,
    )
