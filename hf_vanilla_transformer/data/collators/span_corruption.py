"""Batches for T5's span corruption (Raffel et al. 2020, section 3.1.4): spans out, sentinels in, spans predicted."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from .corruption import CorruptionCollator


def sentinel_name(number: int) -> str:
    """The text of a sentinel token, as T5 calls them."""
    return f"<extra_id_{number}>"


def sentinel_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of the sentinels that a tokenizer has, from number 0 on without a gap."""
    ids: list[int] = []
    vocabulary = tokenizer.get_vocab()
    while (identifier := vocabulary.get(sentinel_name(len(ids)))) is not None:
        ids.append(identifier)
    return ids


def random_segments(items: int, segments: int, random: np.random.Generator) -> np.ndarray:
    """Cut `items` into `segments` parts of at least 1, all cuts equally likely: their lengths `(segments,)`."""
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
    """Cut spans out of a text.

    As in T5, the number of hidden tokens and of spans is not random (but for rounding, which is by chance here, so that
    short texts lose the right part on average); where the spans are and how long each is, is. Kept and hidden stretches
    take turns, and the first is kept. The target ends with one more sentinel, as in figure 2 of the paper.

    Args:
        ids: `(tokens,)` of the text, without its end token.
        sentinels: their ids.
        end: ids put behind both sides, such as the end token.
        probability: the part of the tokens that is hidden.
        mean_span_length: in tokens.
        limit: neither side gets longer than this.
        random: where the numbers are drawn from.

    Returns:
        The source, with a sentinel for every span, and the target, each span behind its sentinel.
    """
    count = len(ids)
    if count < 2:
        # Nothing is kept of so short a text, and it is predicted whole.
        return np.array([sentinels[0], *end]), np.array([sentinels[0], *ids, *sentinels[1:2], *end])
    hidden = int(np.clip(int(probability * count + random.random()), 1, count - 1))
    room = limit - len(end) - hidden - 1  # for the sentinels before the spans of the target
    most = min(hidden, count - hidden, len(sentinels), max(room, 1))
    spans = int(np.clip(int(hidden / mean_span_length + random.random()), 1, most))
    lengths = np.empty(2 * spans, dtype=np.int64)
    lengths[0::2] = random_segments(count - hidden, spans, random)
    lengths[1::2] = random_segments(hidden, spans, random)
    ends = np.cumsum(lengths)
    source_parts, target_parts = [], []
    for span in range(spans):
        begin, middle, finish = ends[2 * span] - lengths[2 * span], ends[2 * span], ends[2 * span + 1]
        source_parts += [ids[begin:middle], [sentinels[span]]]
        target_parts += [[sentinels[span]], ids[middle:finish]]
    closing = sentinels[spans : spans + 1]  # none is left if all are used
    source, target = np.concatenate([*source_parts, end]), np.concatenate([*target_parts, closing, end])
    return source.astype(np.int64), target.astype(np.int64)


class SpanCorruptionCollator(CorruptionCollator):
    """Makes a batch of corrupted texts for an encoder-decoder: the source has holes, the target what was in them.

    A feature has `input_ids`, a text with the tokenizer's end token (which is never hidden) or without. The draw is new
    for every batch, from torch's global generator. The batch is that of `TranslationCollator`, padded or packed.

    Args:
        tokenizer: has the sentinels `<extra_id_0>`, `<extra_id_1>`, ... besides padding, start and end tokens.
        max_length: most tokens of a side; what the model's positions can hold. Longer texts are cut.
        mask_probability: the part of the tokens that is hidden, 15 % in T5.
        mean_span_length: in tokens, 3 in T5.
        packing: pack instead of pad, in rows of `max_length`.

    Raises:
        ValueError: the tokenizer lacks a token, or an argument is not legal.
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
            raise ValueError(f"mask_probability must be in (0, 0.5], but is {mask_probability}; T5 has 0.15.")
        if mean_span_length < 1:
            raise ValueError(f"mean_span_length must be at least 1, but is {mean_span_length}; T5 has 3.")
        if max_length < 8:
            raise ValueError(f"max_length must be at least 8, so that sentinels find room, but is {max_length}.")
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
