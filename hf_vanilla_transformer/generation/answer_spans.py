"""Decoding of extractive question answering: the best spans by start and end logits (Devlin et al. 2019, section 4.2).

The pipeline `question-answering` and the evaluation of a fine-tuning use the same search.
"""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AnswerWindow:
    """The logits of one window of a context, without padding.

    Attributes:
        start_logits: `(sequence,)`, how likely an answer begins at each token.
        end_logits: `(sequence,)`, how likely an answer ends at each token.
        offsets: for each token the characters of the context that it covers; None for tokens outside the context and
            for tokens that cover no character.
    """

    start_logits: np.ndarray
    end_logits: np.ndarray
    offsets: Sequence[tuple[int, int] | None]


@dataclass(frozen=True)
class AnswerSpan:
    """An answer: characters `start` to `end` of the context and its probability. The empty answer has 0 and 0."""

    start: int
    end: int
    probability: float


def best_spans(
    context: str,
    windows: Sequence[AnswerWindow],
    *,
    top_k: int = 1,
    max_answer_tokens: int = 30,
    allow_empty: bool = False,
) -> list[AnswerSpan]:
    """The most probable answers over all windows of a context, the best first.

    The probability of an answer is that of its first token times that of its last. Each is a softmax over the tokens
    of the context in all windows, and over the empty answer if it is allowed. An answer neither begins nor ends with
    a token of white space, and white space at the ends of its text is removed. Equal spans count once, with their
    highest probability.

    Args:
        context: the text that the offsets refer to.
        windows: at least one.
        top_k: number of answers; there are fewer if the context has fewer spans.
        max_answer_tokens: maximum length of an answer.
        allow_empty: include the empty answer (SQuAD 2.0, Rajpurkar et al. 2018). Its logits are those of the first
            token, in the window where their sum is lowest.

    Returns:
        At least one answer: if no span is possible, the empty answer with probability 0.
    """
    inside = [np.array([offset is not None for offset in window.offsets], dtype=bool) for window in windows]
    starts = [window.start_logits.astype(np.float64) for window in windows]
    ends = [window.end_logits.astype(np.float64) for window in windows]
    empty = min(range(len(windows)), key=lambda index: starts[index][0] + ends[index][0])
    start_total, end_total = (
        _log_sum_exp([one[mask] for one, mask in zip(logits, inside)] + ([logits[empty][:1]] if allow_empty else []))
        for logits in (starts, ends)
    )
    log_probabilities: dict[tuple[int, int], float] = {}
    for window, mask, start, end in zip(windows, inside, starts, ends):
        offsets = [offset for offset in window.offsets if offset is not None]
        # (tokens, tokens): the span from the token of the row to the token of the column
        scores = (start[mask] - start_total)[:, None] + (end[mask] - end_total)[None]
        has_text = np.array([not context[begin:stop].isspace() for begin, stop in offsets], dtype=bool)
        allowed = np.tril(np.triu(has_text[:, None] & has_text), max_answer_tokens - 1)
        scores[~allowed] = -np.inf
        for index in _largest(scores.ravel(), top_k):
            first, last = divmod(int(index), len(offsets))
            if allowed[first, last]:
                span = _stripped(context, offsets[first][0], offsets[last][1])
                log_probabilities[span] = max(float(scores[first, last]), log_probabilities.get(span, -np.inf))
    if allow_empty:
        log_probabilities[0, 0] = starts[empty][0] - start_total + ends[empty][0] - end_total
    ranked = sorted(log_probabilities.items(), key=lambda item: (-item[1], item[0]))
    return [AnswerSpan(*span, float(np.exp(value))) for span, value in ranked[:top_k]] or [AnswerSpan(0, 0, 0.0)]


def complete_offsets(text: str, offsets: Sequence[tuple[int, int] | None]) -> list[tuple[int, int] | None]:
    """The offsets of tokens, extended over characters that compose with the last character of a token.

    A tokenizer that normalizes text to NFC maps a composed character to the first of its parts only
    (huggingface/tokenizers#1201). In decomposed text, as macOS writes it, the end of each token would be missing.

    Args:
        text: the original text.
        offsets: for each token the characters that it covers; None for tokens outside of the text.
    """
    if unicodedata.is_normalized("NFC", text):
        return list(offsets)
    starts = sorted({offset[0] for offset in offsets if offset is not None})
    completed: list[tuple[int, int] | None] = []
    for offset in offsets:
        if offset is None:
            completed.append(None)
            continue
        start, end = offset
        following = bisect.bisect_right(starts, start)
        limit = starts[following] if following < len(starts) else len(text)
        composed = len(unicodedata.normalize("NFC", text[start:end]))
        while 0 < end < limit and len(unicodedata.normalize("NFC", text[start : end + 1])) == composed:
            end += 1
        completed.append((start, end))
    return completed


def _log_sum_exp(parts: list[np.ndarray]) -> float:
    values = np.concatenate(parts)
    if not values.size:
        return 0.0
    return float(values.max() + np.log(np.exp(values - values.max()).sum()))


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the `count` largest values."""
    if count >= len(values):
        return np.arange(len(values))
    return np.argpartition(-values, count - 1)[:count]


def _stripped(context: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends; some tokenizers count the space before a word to the word."""
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
