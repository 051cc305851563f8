"""Batches for T5's span corruption (Raffel et al. 2020, section 3.1.4): the model predicts spans of the text."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..sentinels import sentinel_ids
from .corruption import CorruptionCollator


def random_segments(items: int, segments: int, random: np.random.Generator) -> np.ndarray:
    """The lengths `(segments,)` of a random partition of `items` into parts of at least 1; all are equally likely."""
    cuts = np.sort(random.choice(items - 1, segments - 1, replace=False)) + 1
    return np.diff(np.r_[0, cuts, items])


def corrupt_spans(
    ids: np.ndarray,
    sentinels: Sequence[int],
    end: Sequence[int],
    probability: float,
    mean_span_length: float,
    limit: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks spans of a text.

    As in T5, the numbers of masked tokens and of spans are fixed; the positions and lengths of the spans are random.
    Unlike T5, the two numbers are rounded at random, so that the masked fraction of short texts is correct on average.
    Unmasked and masked spans alternate, and the first one is unmasked. The target ends with one more sentinel, as in
    Figure 2 of the paper.

    Args:
        ids: `(tokens,)` of the text, without its end token.
        sentinels: the ids of the sentinels.
        end: ids at the end of both sides, such as the end token.
        probability: the fraction of the tokens that is masked.
        mean_span_length: in tokens.
        limit: the maximum number of tokens of either side.
        random: the random number generator.

    Returns:
        The source, with a sentinel in the place of each span, and the target, with each span after its sentinel.
    """
    count = len(ids)
    if count < 2:
        # So short a text is masked entirely.
        return np.array([sentinels[0], *end]), np.array([sentinels[0], *ids, *sentinels[1:2], *end])
    masked = int(np.clip(int(probability * count + random.random()), 1, count - 1))
    room = limit - len(end) - masked - 1  # for the sentinels before the spans of the target
    most = min(masked, count - masked, len(sentinels), max(room, 1))
    spans = int(np.clip(int(masked / mean_span_length + random.random()), 1, most))
    lengths = np.empty(2 * spans, dtype=np.int64)
    lengths[0::2] = random_segments(count - masked, spans, random)
    lengths[1::2] = random_segments(masked, spans, random)
    ends = np.cumsum(lengths)
    source_parts, target_parts = [], []
    for span in range(spans):
        begin, middle, finish = ends[2 * span] - lengths[2 * span], ends[2 * span], ends[2 * span + 1]
        source_parts += [ids[begin:middle], [sentinels[span]]]
        target_parts += [[sentinels[span]], ids[middle:finish]]
    closing = sentinels[spans : spans + 1]  # empty if all sentinels are used
    source, target = np.concatenate([*source_parts, end]), np.concatenate([*target_parts, closing, end])
    return source.astype(np.int64), target.astype(np.int64)


class SpanCorruptionCollator(CorruptionCollator):
    """Makes batches of corrupted texts for an encoder-decoder, whose targets are the masked spans.

    A feature has `input_ids`, the tokens of a text with or without the end token, which is never masked. Each batch is
    corrupted anew, with random numbers from torch's global generator. The batch has the format of
    `TranslationCollator`, padded or packed.

    Args:
        tokenizer: has the sentinels `<extra_id_0>`, `<extra_id_1>`, ... besides padding, start and end tokens.
        max_length: the maximum number of tokens of a side; at most the number of positions of the model. Longer texts
            are truncated.
        mask_probability: the fraction of the tokens that is masked, 15 % in T5.
        mean_span_length: in tokens, 3 in T5.
        packing: pack instead of pad, in rows of `max_length`.

    Raises:
        ValueError: the tokenizer lacks a token, or an argument is illegal.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        *,
        mask_probability: float = 0.15,
        mean_span_length: float = 3.0,
        packing: bool = False,
    ) -> None:
        if not 0 < mask_probability <= 0.5:
            raise ValueError(f"mask_probability must be in (0, 0.5], but is {mask_probability}; T5 uses 0.15.")
        if mean_span_length < 1:
            raise ValueError(f"mean_span_length must be at least 1, but is {mean_span_length}; T5 uses 3.")
        if max_length < 8:
            raise ValueError(f"max_length must be at least 8, to leave room for sentinels, but is {max_length}.")
        self.sentinels = sentinel_ids(tokenizer)
        if len(self.sentinels) < 2:
            raise ValueError(
                "The tokenizer has no sentinel tokens <extra_id_0>, <extra_id_1>, ...; add some with "
                "tokenizer.add_special_tokens and resize the model's embeddings."
            )
        super().__init__(tokenizer, max_length, mask_probability, mean_span_length, packing)

    def _pair(self, ids: np.ndarray, end: list[int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return corrupt_spans(
            ids,
            self.sentinels,
            end,
            self.mask_probability,
            self.mean_span_length,
            self.max_length,
            random,
        )
