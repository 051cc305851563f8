"""The masking of BERT (Devlin et al. 2019, section 3.1 and appendix A.1) on a flat array of token ids."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class MaskingRates:
    """The fraction of predicted tokens, and what replaces them in the input.

    Attributes:
        predicted: the fraction of all tokens except special tokens that is predicted, 15 % in the paper.
        masked: the fraction of these that becomes the mask token, 80 %.
        random: the fraction of these that becomes a random token, 10 %; the others stay.

    Raises:
        ValueError: a fraction is out of range.
    """

    predicted: float = 0.15
    masked: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.predicted <= 1:
            raise ValueError(f"mask_probability must be in (0, 1], but is {self.predicted}; BERT uses 0.15.")
        if self.masked < 0 or self.random < 0 or self.masked + self.random > 1:
            raise ValueError(
                f"mask_share={self.masked} and random_share={self.random} must not be negative, and their sum must not "
                "exceed 1; BERT uses 0.8 and 0.1."
            )


def choose_units(maskable: np.ndarray, units: np.ndarray, probability: float) -> np.ndarray:
    """Samples the units to predict, with random numbers from torch's global generator.

    Args:
        maskable: `(tokens,)`, false for special tokens.
        units: `(tokens,)`, the number of the unit of each token, from 0. A unit is a token or a word.
        probability: of each unit.

    Returns:
        `(tokens,)`, true where a token is predicted. At least one unit is predicted if one is maskable, because a batch
        without labels has no loss.
    """
    drawn = torch.rand(int(units[-1]) + 1).numpy()[units]
    drawn[~maskable] = 2.0
    predicted = drawn < probability
    if not predicted.any() and maskable.any():
        predicted = drawn == drawn.min()
    return predicted


def mask_tokens(
    ids: np.ndarray,
    predicted: np.ndarray,
    spans: np.ndarray | None,
    mask_id: int,
    ordinary: np.ndarray,
    rates: MaskingRates,
    label_pad_token_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Replaces predicted tokens by the mask token or by a random token, or leaves them.

    Args:
        ids: `(tokens,)`.
        predicted: `(tokens,)`, true where a token is predicted.
        spans: `(tokens,)`, the number of the span of each predicted token, from 0; all tokens of a span are treated
            alike (SpanBERT). None treats each token by itself.
        mask_id: the id of the mask token.
        ordinary: the ids from which a random token is sampled.
        rates: the fractions of masked and of random tokens.
        label_pad_token_id: the label of tokens that are not predicted.

    Returns:
        The input and the labels, both `(tokens,)`.
    """
    labels = np.where(predicted, ids, label_pad_token_id)
    masked_ids = ids.copy()
    positions = np.flatnonzero(predicted)
    if spans is None or not len(positions):
        draw = torch.rand(len(positions)).numpy()
    else:
        draw = torch.rand(int(spans[positions].max()) + 1).numpy()[spans[positions]]
    masked_ids[positions[draw < rates.masked]] = mask_id
    replaced = positions[(draw >= rates.masked) & (draw < rates.masked + rates.random)]
    masked_ids[replaced] = ordinary[torch.randint(len(ordinary), (len(replaced),)).numpy()]
    return masked_ids, labels
