"""Rows of a batch: which of them leave, and what is the same for all of them."""

from __future__ import annotations

import torch


def moves_of_leaving(leaving: list[int], rows: int) -> tuple[list[tuple[int, int]], list[int]]:
    """How the last rows fill the places of those that leave.

    Args:
        leaving: places of the rows that leave, ascending.
        rows: number of rows before.

    Returns:
        Copies (from, to), and for each place afterwards the place before.
    """
    stay = rows - len(leaving)
    gone = set(leaving)
    last = [place for place in range(stay, rows) if place not in gone]
    holes = [place for place in leaving if place < stay]
    moves = list(zip(last, holes))
    kept = list(range(stay))
    for old, new in moves:
        kept[new] = old
    return moves, kept


def one_or_all(numbers: torch.Tensor, rows: int, repeats: int) -> int | torch.Tensor:
    """Numbers (rows or 1,) as a single number if all are equal, else each of them `repeats` times."""
    first = int(numbers[0])
    if bool((numbers == first).all()):
        return first
    return numbers.expand(rows).repeat_interleave(repeats)
