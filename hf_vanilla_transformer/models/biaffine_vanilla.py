"""Which word depends on which, and how: the scorers of Dozat and Manning 2017, section 2.2, and words out of tokens."""

from __future__ import annotations

import torch
from torch import nn

from .configuration_vanilla import VanillaEncoderConfig
from .kernels_activation_vanilla import activation
from .kernels_dropout_vanilla import Dropout
from .kernels_linear_vanilla import Linear


def word_weights(word_ids: torch.Tensor, words: int, pooling: str) -> torch.Tensor:
    """With what weight each token counts for each word.

    Args:
        word_ids: (batch, length), the number of the word that a token belongs to, from 0; negative for none.
        words: how many words a row has at most.
        pooling: `first` for the first token of a word, `mean` for the mean of all its tokens.

    Returns:
        (batch, words, length); a row of zeros where there is no such word.
    """
    numbers = torch.arange(words, device=word_ids.device)
    belongs = word_ids[:, None, :] == numbers[None, :, None]  # (batch, words, length)
    if pooling == "first":
        belongs = belongs & (belongs.cumsum(-1) == 1)
    return belongs / belongs.sum(-1, keepdim=True).clamp(min=1)


class WordMap(nn.Module):
    """What a word is as a head or as a dependent: one layer, so that the rest of its state is left out."""

    def __init__(self, config: VanillaEncoderConfig, size: int) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, size)
        self.activation = activation(config.hidden_act)
        self.dropout = Dropout(config.parser_dropout)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, words, hidden) to (batch, words, size)."""
        return self.dropout(self.activation(self.dense(states)))


class ArcScorer(nn.Module):
    """How well each word would do as the head of each other: `head · (U dependent + u)` (section 2.2).

    The term with u, which is the map's bias, says how likely a word is to have dependents at all.
    """

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__()
        self.head = WordMap(config, config.parser_arc_size)
        self.dependent = WordMap(config, config.parser_arc_size)
        self.bilinear = Linear(config.parser_arc_size, config.parser_arc_size)

    def forward(self, dependents: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        """(batch, words, hidden) and (batch, words + 1, hidden), the root first, to (batch, words, words + 1)."""
        return self.bilinear(self.dependent(dependents)) @ self.head(heads).transpose(1, 2)


class LabelScorer(nn.Module):
    """How well each label fits an arc: `head · (U dependent + u) + V dependent + b`, one U, u, V, b a label."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__()
        self.num_labels = config.num_labels
        self.head = WordMap(config, config.parser_label_size)
        self.dependent = WordMap(config, config.parser_label_size)
        self.bilinear = Linear(config.parser_label_size, config.num_labels * config.parser_label_size)
        self.linear = Linear(config.parser_label_size, config.num_labels)

    def forward(self, dependents: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        """Each word with its head, (batch, words, hidden) twice, to (batch, words, labels)."""
        head, dependent = self.head(heads), self.dependent(dependents)
        # (batch, words, labels, size) times (batch, words, size, 1)
        products = self.bilinear(dependent).unflatten(-1, (self.num_labels, -1)) @ head[..., None]
        return products.squeeze(-1) + self.linear(dependent)


__all__ = ["ArcScorer", "LabelScorer", "WordMap", "word_weights"]
