"""The best tokens of each row without sorting the vocabulary."""

from __future__ import annotations

import torch

# Below this number of scores, `torch.topk` and `torch.argmax` over all of them are as fast.
_SMALL_VOCABULARY = 2048
_SMALLEST_BLOCK, _LARGEST_BLOCK = 32, 128


def top_tokens(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` best scores of each row, best first, and their tokens; both (rows, count).

    The best `count` tokens lie in the `count` blocks of the vocabulary with the highest maxima. Finding those takes one
    fast pass; only they are sorted. Which of several tokens with equal scores is taken is undefined, as in torch.

    Args:
        scores: (rows, vocabulary).
        count: at most the size of the vocabulary.
    """
    rows, size = scores.shape
    width = _block(size)
    blocks = size // width
    if size < _SMALL_VOCABULARY or blocks <= 2 * count:
        return scores.topk(count)
    in_blocks = scores[:, : blocks * width].view(rows, blocks, width) if blocks * width == size else None
    if in_blocks is None:
        in_blocks = scores[:, : blocks * width].unflatten(1, (blocks, width))
    best_blocks = in_blocks.amax(2).topk(count, sorted=False).indices
    candidates = in_blocks.gather(1, best_blocks[:, :, None].expand(-1, -1, width)).view(rows, count * width)
    rest = size - blocks * width
    if rest:
        candidates = torch.cat([candidates, scores[:, -rest:]], dim=1)
    values, places = candidates.topk(count)
    blocks_of_places = best_blocks.gather(1, (places // width).clamp(max=count - 1))
    tokens = blocks_of_places * width + places % width
    if rest:
        tokens = torch.where(places >= count * width, places + (size - rest - count * width), tokens)
    return values, tokens


def best_token(scores: torch.Tensor) -> torch.Tensor:
    """The token with the highest score of each row, the first of several; (rows, vocabulary) to (rows,)."""
    rows, size = scores.shape
    width = _block(size)
    blocks = size // width
    if size < _SMALL_VOCABULARY or rows < 4 or blocks * width != size:
        return scores.argmax(1)
    in_blocks = scores.view(rows, blocks, width)
    block = in_blocks.amax(2).argmax(1)
    inside = in_blocks.gather(1, block[:, None, None].expand(-1, -1, width))[:, 0].argmax(1)
    return block * width + inside


def _block(size: int) -> int:
    """The width of the blocks: the divisor of the size nearest to 64, or 64 with a rest."""
    divisors = [width for width in range(_SMALLEST_BLOCK, _LARGEST_BLOCK + 1) if size % width == 0]
    return min(divisors, key=lambda width: abs(width - 64), default=64)
