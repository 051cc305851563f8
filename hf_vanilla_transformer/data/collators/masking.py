"""The cloze task of BERT (Devlin et al. 2019, section 3.1 and appendix A.1) on a flat array of ids."""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import models
from transformers import PreTrainedTokenizerBase

from ...tokenization import WORD_START_MARKS


@dataclass(frozen=True)
class MaskingRates:
    """How many tokens are predicted, and what is shown in their place.

    Attributes:
        predicted: the part of all ordinary tokens that is predicted, 15 % in the paper.
        masked: the part of these that is shown as the mask token, 80 %.
        random: the part of these that is shown as a random token, 10 %; the rest is shown as it is.
    """

    predicted: float = 0.15
    masked: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.predicted <= 1:
            raise ValueError(f"mask_probability must be in (0, 1], but is {self.predicted}; BERT has 0.15.")
        if self.masked < 0 or self.random < 0 or self.masked + self.random > 1:
            raise ValueError(
                f"mask_share={self.masked} and random_share={self.random} must not be negative, nor together more than "
                "1; BERT has 0.8 and 0.1."
            )


def choose_units(maskable: np.ndarray, units: np.ndarray, probability: float) -> np.ndarray:
    """Draw what is predicted, unit by unit, with the random numbers of torch's global generator.

    Args:
        maskable: `(tokens,)`, false for special tokens.
        units: `(tokens,)`, numbers from 0 of what is drawn as a whole: tokens, or words.
        probability: of each unit.

    Returns:
        `(tokens,)`, true where a token is predicted. At least one is if any may be, because a batch without labels has
        no loss.
    """
    drawn = torch.rand(int(units[-1]) + 1).numpy()[units]
    drawn[~maskable] = 2.0
    predicted = drawn < probability
    if not predicted.any() and maskable.any():
        predicted = drawn == drawn.min()
    return predicted


def hide(
    ids: np.ndarray,
    predicted: np.ndarray,
    fates: np.ndarray | None,
    mask_id: int,
    ordinary: np.ndarray,
    rates: MaskingRates,
    label_pad: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Put the mask token, a random token or nothing new in the place of what is predicted.

    Args:
        ids: `(tokens,)`.
        predicted: `(tokens,)`.
        fates: `(tokens,)`, numbers from 0 of the tokens that share their fate, where they are predicted (the spans of
            SpanBERT); None decides for each token.
        mask_id: the mask token.
        ordinary: the ids that a random token is drawn from.
        rates: how often which.
        label_pad: the label of what is not predicted.

    Returns:
        What is shown and what is to be predicted, both `(tokens,)`.
    """
    labels = np.where(predicted, ids, label_pad)
    shown = ids.copy()
    places = np.flatnonzero(predicted)
    if fates is None or not len(places):
        fate = torch.rand(len(places)).numpy()
    else:
        fate = torch.rand(int(fates[places].max()) + 1).numpy()[fates[places]]
    shown[places[fate < rates.masked]] = mask_id
    replaced = places[(fate >= rates.masked) & (fate < rates.masked + rates.random)]
    shown[replaced] = ordinary[torch.randint(len(ordinary), (len(replaced),)).numpy()]
    return shown, labels


def word_starts(tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """For each id of the vocabulary, whether a word starts with it, and whether a word ends with it, as its mark says.

    A WordPiece continues the word before it if it has the prefix `##`; a BPE with end-of-word marks ends its word if it
    has one; elsewhere (byte-level BPE, Unigram) a piece starts a word if it has the mark of a space.

    Returns:
        Two arrays `(vocabulary,)`, of which one is false everywhere.
    """
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    model = tokenizer.backend_tokenizer.model
    starts, ends = np.zeros(len(pieces), dtype=bool), np.zeros(len(pieces), dtype=bool)
    if isinstance(model, models.WordPiece):
        prefix = model.continuing_subword_prefix
        starts[:] = [not piece.startswith(prefix) for piece in pieces]
    elif isinstance(model, models.BPE) and model.end_of_word_suffix:
        suffix = model.end_of_word_suffix
        ends[:] = [piece.endswith(suffix) for piece in pieces]
    else:
        starts[:] = [piece.startswith(WORD_START_MARKS) for piece in pieces]
    return starts, ends
