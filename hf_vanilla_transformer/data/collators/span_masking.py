"""Random spans of complete words, as in SpanBERT (Joshi et al. 2020, section 3.1)."""

import numpy as np


def span_length_weights(mean: float, longest: int) -> np.ndarray:
    """The probabilities `(longest,)` of the lengths 1, 2, ... longest: a truncated geometric distribution.

    The paper uses p = 0.2 and a maximum of 10, so that the mean is 3.8.

    Args:
        mean: the mean of the truncated distribution.
        longest: the maximum length.

    Raises:
        ValueError: no decreasing geometric distribution has this mean.
    """
    if not 1 <= mean < (longest + 1) / 2:
        raise ValueError(
            f"mean_span_length={mean} must be at least 1 and less than {(longest + 1) / 2:g}, half of "
            f"max_span_length + 1 = {longest + 1}."
        )
    lengths = np.arange(1, longest + 1)

    def weights(ratio: float) -> np.ndarray:
        raw = ratio ** (lengths - 1.0)
        return raw / raw.sum()

    # The mean increases with the ratio, from 1 to (longest + 1) / 2, so bisection finds it.
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
    """Samples spans of complete words in each text until they contain the given fraction of its tokens.

    A span lies within one text and contains no special token. Spans do not overlap. A word that would exceed the
    fraction is included at random, so that the fraction of short texts is correct on average.

    Args:
        maskable: `(tokens,)`, false for special tokens.
        words: `(tokens,)`, the number of the word of each token, ascending.
        lengths: `(texts,)`.
        probability: the fraction of the maskable tokens of each text.
        length_weights: the probabilities of the lengths 1, 2, ... in words.
        random: the random number generator.

    Returns:
        `(tokens,)`, the number of the span of each token, from 0; -1 outside of spans.
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
    """Fills `spans` of one text in place, and returns the number of the next span."""
    count = int(maskable.sum())
    if not count:
        return number
    left = probability * count  # tokens still to be masked
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
