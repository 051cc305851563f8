"""Scores of arcs and labels between words: the biaffine parser of Dozat and Manning 2017, section 2.2."""

from __future__ import annotations

import torch
from torch import nn

from .configuration_vanilla import VanillaEncoderConfig
from .kernels_activation_vanilla import activation
from .kernels_dropout_vanilla import Dropout
from .kernels_linear_vanilla import linear


def word_weights(word_ids: torch.Tensor, words: int, pooling: str) -> torch.Tensor:
    """The weight of each token in the vector of each word.

    Args:
        word_ids: (batch, length), the number of the word that a token belongs to, from 0; negative for none.
        words: the largest number of words in a row.
        pooling: `first` for the first token of a word, `mean` for the mean of all its tokens.

    Returns:
        (batch, words, length); zeros for a word that does not exist.
    """
    numbers = torch.arange(words, device=word_ids.device)
    belongs = word_ids[:, None, :] == numbers[None, :, None]  # (batch, words, length)
    if pooling == "first":
        belongs = belongs & (belongs.cumsum(-1) == 1)
    return belongs / belongs.sum(-1, keepdim=True).clamp(min=1)


class WordMap(nn.Module):
    """A dense layer that reduces the state of a word to what matters about it as a head, or as a dependent."""

    def __init__(self, config: VanillaEncoderConfig, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, size)
        self.activation = activation(config.hidden_act)
        self.dropout = Dropout(config.parser_dropout)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, words, hidden) to (batch, words, size)."""
        return self.dropout(self.activation(linear(self.dense, states)))


class ArcScorer(nn.Module):
    """The score of each word as the head of each other word: `head · (U dependent + u)` (section 2.2).

    The term with u, the bias of the map, scores how likely a word is to have dependents.
    """

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__()
        self.head = WordMap(config, config.parser_arc_size)
        self.dependent = WordMap(config, config.parser_arc_size)
        self.bilinear = nn.Linear(config.parser_arc_size, config.parser_arc_size)

    def forward(self, dependents: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        """(batch, words, hidden) and (batch, words + 1, hidden), the root first, to (batch, words, words + 1)."""
        return linear(self.bilinear, self.dependent(dependents)) @ self.head(heads).transpose(1, 2)


class LabelScorer(nn.Module):
    """The score of each label for an arc: `head · (U dependent + u) + V dependent + b`, with U, u, V, b per label."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__()
        self.num_labels = config.num_labels
        self.head = WordMap(config, config.parser_label_size)
        self.dependent = WordMap(config, config.parser_label_size)
        self.bilinear = nn.Linear(config.parser_label_size, config.num_labels * config.parser_label_size)
        self.linear = nn.Linear(config.parser_label_size, config.num_labels)

    def forward(self, dependents: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        """Each word with its head, (batch, words, hidden) twice, to (batch, words, labels)."""
        head, dependent = self.head(heads), self.dependent(dependents)
        # (batch, words, labels, size) times (batch, words, size, 1)
        products = linear(self.bilinear, dependent).unflatten(-1, (self.num_labels, -1)) @ head[..., None]
        return products.squeeze(-1) + self.linear(dependent)


__all__ = ["ArcScorer", "LabelScorer", "WordMap", "word_weights"]
