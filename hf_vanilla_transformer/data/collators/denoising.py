"""Batches for BART's denoising (Lewis et al. 2020, section 2.2): text infilling and sentence permutation."""

import numpy as np
from transformers import PreTrainedTokenizerBase

from .corruption import CorruptionCollator
from .masking import word_starts

# What a sentence ends with; closing quotes and brackets after it belong to it.
_ENDS = set(".!?。！？…")
_CLOSING = set("\"'”’)]}»」』")


def sentence_ends(tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """For each id of the vocabulary, whether a sentence may end with it, and whether it is a closing mark after an end.

    Returns:
        Two arrays `(vocabulary,)`.
    """
    # Decoded, because byte-level pieces spell characters beyond ASCII in another alphabet.
    pieces = tokenizer.batch_decode([[identifier] for identifier in range(len(tokenizer))])
    texts = [piece.strip().removeprefix("##") for piece in pieces]
    ends = np.array([bool(text) and text[-1] in _ENDS for text in texts])
    closing = np.array([bool(text) and set(text) <= _CLOSING for text in texts])
    special = tokenizer.all_special_ids
    ends[special] = closing[special] = False
    return ends, closing


def permute_sentences(
    ids: np.ndarray, begins_word: np.ndarray, ends: np.ndarray, closing: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """The sentences of a text in random order, `(tokens,)`.

    Args:
        ids: `(tokens,)`, without special tokens around them.
        begins_word: `(tokens,)`, true where a word begins: within a word, as in "3.14", no sentence ends.
        ends, closing: of each id, as `sentence_ends` gives them.
        random: where the order is drawn from.
    """
    ended = ends[ids]
    # A closing quote belongs to the sentence before it, if that has just ended.
    for place in np.flatnonzero(closing[ids]):
        if place and ended[place - 1]:
            ended[place - 1], ended[place] = False, True
    ended &= np.r_[begins_word[1:], True]
    cuts = np.flatnonzero(ended) + 1
    sentences = [part for part in np.split(ids, cuts) if len(part)]
    if len(sentences) < 2:
        return ids
    return np.concatenate([sentences[index] for index in random.permutation(len(sentences))])


def infill(
    ids: np.ndarray,
    begins_word: np.ndarray,
    mask_id: int,
    probability: float,
    mean_span_length: float,
    limit: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Spans of a text, each replaced by one mask token: `(tokens,)`.

    The lengths of the spans are from a Poisson distribution. A span of length 0 puts a mask where nothing is missing,
    so that the model also learns how many tokens stand behind a mask. A span begins at the beginning of a word, and
    spans do not touch, since two masks side by side would be one hole.

    Args:
        ids: `(tokens,)`.
        begins_word: `(tokens,)`, true where a word begins.
        mask_id: the mask token.
        probability: the part of the tokens that is hidden.
        mean_span_length: of the Poisson distribution.
        limit: the text gets no longer than this; masks without a span are left out where there is no room.
        random: where the numbers are drawn from.
    """
    count = len(ids)
    budget = int(probability * count + random.random())
    lengths: list[int] = []
    while sum(lengths) < budget:
        lengths.append(int(random.poisson(mean_span_length)))
    if lengths:
        lengths[-1] -= sum(lengths) - budget
    hidden = np.zeros(count, dtype=bool)
    masks = np.zeros(count, dtype=bool)  # whether a mask stands before a place
    # Long spans first, while there is still room for them in one piece.
    for length in sorted((length for length in lengths if length), reverse=True):
        # Free places with a kept one before and after the span: the running sum counts what is taken.
        taken = np.cumsum(np.r_[0, hidden])
        starts = np.arange(count - length + 1)
        before, after = np.maximum(starts - 1, 0), np.minimum(starts + length + 1, count)
        free = taken[after] - taken[before] == 0
        chosen = starts[free & begins_word[starts]]
        if not len(chosen):
            chosen = starts[free]
        if not len(chosen):
            continue
        start = int(chosen[random.integers(len(chosen))])
        hidden[start : start + length] = True
        masks[start] = True
    room = limit - (count - int(hidden.sum()) + int(masks.sum()))
    insertions = min(sum(not length for length in lengths), max(room, 0))
    # Before a kept token that is not behind a hidden one, so that no two masks meet.
    places = np.flatnonzero(~hidden & ~np.r_[False, hidden[:-1]] & ~masks)
    masks[random.choice(places, min(insertions, len(places)), replace=False)] = True
    before = np.flatnonzero(masks)
    return np.insert(ids, before, mask_id)[np.insert(~hidden, before, True)]


class DenoisingCollator(CorruptionCollator):
    """Makes a batch of noisy texts for an encoder-decoder; the target is the text as it was.

    A feature has `input_ids`, a text with the tokenizer's end token (which stays where it is) or without. The draw is
    new for every batch, from torch's global generator. The batch is that of `TranslationCollator`, padded or packed.

    Args:
        tokenizer: has a mask token besides padding, start and end tokens.
        max_length: most tokens of a side; what the model's positions can hold. Longer texts are cut.
        mask_probability: the part of the tokens that is hidden, 30 % in BART; 0 hides none.
        mean_span_length: of the Poisson distribution of the lengths of spans, 3 in BART.
        permute_sentences: show the sentences of a text in random order.
        packing: pack instead of pad, in rows of `max_length`.

    Raises:
        ValueError: the tokenizer lacks a token, or an argument is not legal.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        *,
        mask_probability: float = 0.3,
        mean_span_length: float = 3.0,
        permute_sentences: bool = True,
        packing: bool = False,
    ) -> None:
        if tokenizer.mask_token is None:
            raise ValueError(
                "The tokenizer has no mask_token; add one with tokenizer.add_special_tokens and resize the model's "
                "embeddings."
            )
        if not 0 <= mask_probability <= 1:
            raise ValueError(f"mask_probability must be in [0, 1], but is {mask_probability}; BART has 0.3.")
        if mean_span_length < 1:
            raise ValueError(f"mean_span_length must be at least 1, but is {mean_span_length}; BART has 3.")
        super().__init__(tokenizer, max_length, mask_probability, mean_span_length, packing)
        self.permute_sentences = permute_sentences
        self._starts, self._word_ends = word_starts(tokenizer)
        self._sentence_ends = sentence_ends(tokenizer)

    def _pair(self, ids: np.ndarray, end: list[int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        noisy = ids
        if self.permute_sentences and len(ids):
            noisy = permute_sentences(ids, self._begins_word(ids), *self._sentence_ends, random)
        noisy = infill(
            noisy,
            self._begins_word(noisy),
            self.tokenizer.mask_token_id,
            self.mask_probability,
            self.mean_span_length,
            self.max_length - len(end),
            random,
        )
        return np.r_[noisy, end].astype(np.int64), np.r_[ids, end].astype(np.int64)

    def _begins_word(self, ids: np.ndarray) -> np.ndarray:
        """`(tokens,)`, true where a word begins."""
        begins = self._starts[ids]
        begins[1:] |= self._word_ends[ids[:-1]]
        begins[:1] = True
        return begins
