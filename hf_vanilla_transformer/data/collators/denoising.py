"""Batches for BART's denoising (Lewis et al. 2020, section 2.2): text infilling and sentence permutation."""

import numpy as np
from transformers import PreTrainedTokenizerBase

from .corruption import CorruptionCollator
from .word_boundaries import word_boundaries

# The last character of a sentence; closing quotes and brackets after it belong to the sentence.
_ENDS = set(".!?。！？…")
_CLOSING = set("\"'”’)]}»」』")


def sentence_ends(tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """Whether each token of the vocabulary may end a sentence, and whether it is a closing quote or bracket.

    Returns:
        Two arrays `(vocabulary,)`.
    """
    # Decoded, because byte-level tokens represent non-ASCII characters with other characters.
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
        begins_word: `(tokens,)`, true where a word begins. A sentence does not end within a word, such as "3.14".
        ends, closing: the arrays of `sentence_ends`.
        random: the random number generator.
    """
    ended = ends[ids]
    # A closing quote belongs to the sentence that ends directly before it.
    for position in np.flatnonzero(closing[ids]):
        if position and ended[position - 1]:
            ended[position - 1], ended[position] = False, True
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
    """Text infilling: replaces each of several spans by one mask token.

    The lengths of the spans follow a Poisson distribution. A span of length 0 inserts a mask token, so that the model
    also learns to predict the number of missing tokens. A span begins at the beginning of a word. Spans do not touch,
    because two adjacent mask tokens would stand for one span.

    Args:
        ids: `(tokens,)`.
        begins_word: `(tokens,)`, true where a word begins.
        mask_id: the id of the mask token.
        probability: the fraction of the tokens that is masked.
        mean_span_length: the mean of the Poisson distribution.
        limit: the maximum number of tokens of the result. It bounds the number of inserted mask tokens.
        random: the random number generator.

    Returns:
        The text with mask tokens, `(tokens,)`.
    """
    count = len(ids)
    budget = int(probability * count + random.random())
    lengths: list[int] = []
    while sum(lengths) < budget:
        lengths.append(int(random.poisson(mean_span_length)))
    if lengths:
        lengths[-1] -= sum(lengths) - budget
    masked = np.zeros(count, dtype=bool)
    inserted = np.zeros(count, dtype=bool)  # whether a mask token is inserted before a position
    # Long spans first, while contiguous room for them is left.
    for length in sorted((length for length in lengths if length), reverse=True):
        # A span needs unmasked tokens, and an unmasked one on each side; differences of the sum count masked tokens.
        taken = np.cumsum(np.r_[0, masked])
        starts = np.arange(count - length + 1)
        before, after = np.maximum(starts - 1, 0), np.minimum(starts + length + 1, count)
        free = taken[after] - taken[before] == 0
        chosen = starts[free & begins_word[starts]]
        if not len(chosen):
            chosen = starts[free]
        if not len(chosen):
            continue
        start = int(chosen[random.integers(len(chosen))])
        masked[start : start + length] = True
        inserted[start] = True
    room = limit - (count - int(masked.sum()) + int(inserted.sum()))
    insertions = min(sum(not length for length in lengths), max(room, 0))
    # Before unmasked tokens that do not follow a masked one, so that no two mask tokens are adjacent.
    positions = np.flatnonzero(~masked & ~np.r_[False, masked[:-1]] & ~inserted)
    inserted[random.choice(positions, min(insertions, len(positions)), replace=False)] = True
    before = np.flatnonzero(inserted)
    return np.insert(ids, before, mask_id)[np.insert(~masked, before, True)]


class DenoisingCollator(CorruptionCollator):
    """Makes batches of noisy texts for an encoder-decoder, whose targets are the original texts.

    A feature has `input_ids`, the tokens of a text with or without the end token, which is never masked. Each batch is
    corrupted anew, with random numbers from torch's global generator. The batch has the format of
    `TranslationCollator`, padded or packed.

    Args:
        tokenizer: has a mask token besides padding, start and end tokens.
        max_length: the maximum number of tokens of a side; at most the number of positions of the model. Longer texts
            are truncated.
        mask_probability: the fraction of the tokens that is masked, 30 % in BART; 0 masks none.
        mean_span_length: the mean of the Poisson distribution of span lengths, 3 in BART.
        permute_sentences: shuffle the sentences of a text.
        packing: pack instead of pad, in rows of `max_length`.

    Raises:
        ValueError: the tokenizer lacks a token, or an argument is illegal.
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
            raise ValueError(f"mask_probability must be in [0, 1], but is {mask_probability}; BART uses 0.3.")
        if mean_span_length < 1:
            raise ValueError(f"mean_span_length must be at least 1, but is {mean_span_length}; BART uses 3.")
        super().__init__(tokenizer, max_length, mask_probability, mean_span_length, packing)
        self.permute_sentences = permute_sentences
        self._starts, self._word_ends = word_boundaries(tokenizer)
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
