"""The best tokens of each row without sorting the vocabulary."""

from __future__ import annotations

from functools import cache

import torch

# Below this number of scores, `torch.topk` and `torch.argmax` over all of them are as fast.
_FEW_SCORES = 1 << 16

# torch finds the maximum of a block by 32 numbers at a time, and what is left one by one.
_AT_ONCE = 32
_WIDTHS = range(64, 201)


def top_tokens(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` best scores of each row, best first, and their tokens; both (rows, count).

    The best `count` tokens lie in the `count` blocks of the vocabulary with the highest maxima. Finding those takes one
    fast pass, and only they are sorted. Which of several tokens with equal scores is taken is undefined, as in torch.

    Args:
        scores: (rows, vocabulary), contiguous.
        count: at most the size of the vocabulary.
    """
    size = scores.shape[1]
    width = _block_width(size)
    blocks = size // width
    if scores.numel() < _FEW_SCORES or blocks <= 2 * count:
        return scores.topk(count)
    best_blocks = _maxima(scores, blocks, width).topk(count, sorted=False).indices  # (rows, count)
    candidates = _of_blocks(scores, best_blocks, width)
    rest = size - blocks * width
    if rest:
        candidates = torch.cat([candidates, scores[:, -rest:]], dim=1)
    values, places = candidates.topk(count)
    number = (places // width).clamp_(max=count - 1) if rest else places // width
    tokens = best_blocks.gather(1, number) * width + places % width
    if rest:
        tokens = torch.where(places < count * width, tokens, places + (blocks - count) * width)
    return values, tokens


def best_token(scores: torch.Tensor) -> torch.Tensor:
    """The token with the highest score of each row, the first of several; (rows, vocabulary) to (rows,)."""
    size = scores.shape[1]
    width = _block_width(size)
    blocks = size // width
    if scores.numel() < _FEW_SCORES:
        return scores.argmax(1)
    block = _maxima(scores, blocks, width).argmax(1, keepdim=True)
    best, place = _of_blocks(scores, block, width).max(1)
    token = block[:, 0] * width + place
    rest = size - blocks * width
    if rest:
        best_of_rest, place = scores[:, -rest:].max(1)
        token = torch.where(best_of_rest > best, place + blocks * width, token)
    return token


@cache
def _block_width(size: int) -> int:
    """The width of the blocks: a divisor of the size if there is a good one, else 64 with a rest."""
    good = [width for width in _WIDTHS if size % width == 0 and width % _AT_ONCE <= 8]
    return good[0] if good else 64


def _maxima(scores: torch.Tensor, blocks: int, width: int) -> torch.Tensor:
    """The maximum of each block, (rows, blocks)."""
    return scores[:, : blocks * width].unflatten(1, (blocks, width)).amax(2)


def _of_blocks(scores: torch.Tensor, chosen: torch.Tensor, width: int) -> torch.Tensor:
    """The scores of the chosen blocks (rows, count) of each row; (rows, count · width)."""
    rows, size = scores.shape
    row = torch.arange(rows, device=scores.device)[:, None]
    if size % width == 0:
        blocks = (chosen + row * (size // width)).flatten()
        return scores.view(-1, width).index_select(0, blocks).view(rows, -1)
    starts = chosen * width + row * size
    places = starts[:, :, None] + torch.arange(width, device=scores.device)
    return scores.view(-1).index_select(0, places.flatten()).view(rows, -1)
