"""Spans of whole words to be hidden, as SpanBERT draws them (Joshi et al. 2020, section 3.1)."""

import numpy as np


def span_length_weights(mean: float, longest: int) -> np.ndarray:
    """Probabilities `(longest,)` of the lengths 1, 2, ... longest: a geometric distribution cut off at `longest`.

    The paper's is that of p = 0.2 cut off at 10, which has the mean 3.8.

    Args:
        mean: the mean of the distribution as cut off.
        longest: the longest span.

    Raises:
        ValueError: no geometric distribution that falls has this mean.
    """
    if not 1 <= mean < (longest + 1) / 2:
        raise ValueError(
            f"mean_span_length={mean} must be at least 1 and less than {(longest + 1) / 2:g}, half of "
            f"max_span_length + 1 = {longest + 1}."
        )
    lengths = np.arange(1, longest + 1)

    def weights(stay: float) -> np.ndarray:
        raw = stay ** (lengths - 1.0)
        return raw / raw.sum()

    # The mean grows with the probability of going on, from 1 to (longest + 1) / 2: halve the interval.
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(middle) @ lengths < mean else (low, middle)
    return weights(low)


def draw_spans(
    maskable: np.ndarray,
    words: np.ndarray,
    lengths: np.ndarray,
    probability: float,
    length_weights: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Draw spans of whole words in each text until the given part of its tokens is hidden.

    A span lies within one text and has no special token in it; two spans do not overlap. The word
    that would go beyond the part is taken or left by chance, so that the mean is the part in short texts as well.

    Args:
        maskable: `(tokens,)`, false for special tokens.
        words: `(tokens,)`, the number of the word of each token, rising.
        lengths: `(texts,)`.
        probability: the part of the maskable tokens of each text.
        length_weights: of the lengths 1, 2, ... in words.
        random: where the numbers are drawn from.

    Returns:
        `(tokens,)` the number of the span that a token is in, from 0; -1 where it is in none.
    """
    spans = np.full(len(maskable), -1, dtype=np.int64)
    limits = np.cumsum(length_weights)
    number, end = 0, 0
    for length in lengths:
        begin, end = end, end + int(length)
        number = _draw_in_text(spans[begin:end], maskable[begin:end], words[begin:end], number, probability,
                               limits, random)  # fmt: skip
    return spans


def _draw_in_text(
    spans: np.ndarray,
    maskable: np.ndarray,
    words: np.ndarray,
    number: int,
    probability: float,
    limits: np.ndarray,
    random: np.random.Generator,
) -> int:
    """Fills `spans` of one text in place; returns the number of the next span."""
    places = np.flatnonzero(maskable)
    if not len(places):
        return number
    left = probability * len(places)  # tokens still to be hidden
    starts = np.flatnonzero(np.r_[True, np.diff(words) != 0])
    ends = np.r_[starts[1:], len(words)]
    free = [bool(maskable[start:end].all()) for start, end in zip(starts, ends)]
    candidates = [index for index, is_free in enumerate(free) if is_free]
    while left > 0 and candidates:
        length = 1 + min(int(np.searchsorted(limits, random.random(), side="right")), len(limits) - 1)
        word = candidates[int(random.integers(len(candidates)))]
        while length and word < len(free) and free[word] and left > 0:
            size = int(ends[word] - starts[word])
            if size > left and random.random() >= left / size:
                return number + 1
            spans[starts[word] : ends[word]] = number
            left -= size
            free[word] = False
            word, length = word + 1, length - 1
        number += 1
        candidates = [index for index in candidates if free[index]]
    return number
