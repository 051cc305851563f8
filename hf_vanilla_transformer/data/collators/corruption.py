"""The base class of the collators for pretraining encoder-decoders: from texts to corrupted sources and targets."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from .translation import TranslationCollator


class CorruptionCollator(ABC):
    """Makes a source-target pair of each text, and a batch of these pairs with `TranslationCollator`.

    A feature has `input_ids`, the tokens of a text with or without the end token. Each batch is corrupted anew, with
    random numbers from torch's global generator.

    Args:
        tokenizer: has padding, start and end tokens.
        max_length: the maximum number of tokens of a side; at most the number of positions of the model. Longer texts
            are truncated.
        mask_probability: the fraction of the tokens that is masked.
        mean_span_length: the mean length of the masked spans, in tokens.
        packing: pack instead of pad, in rows of `max_length`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        mask_probability: float,
        mean_span_length: float,
        packing: bool,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.mask_probability = mask_probability
        self.mean_span_length = mean_span_length
        packed = {"packing": True, "row_length": max_length} if packing else {}
        self.pair_collator = TranslationCollator(tokenizer, **packed)

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        random = np.random.default_rng(int(torch.randint(2**62, (1,))))
        return self.pair_collator([self._pair_of(feature["input_ids"], random) for feature in features])

    def _pair_of(self, ids: Any, random: np.random.Generator) -> dict[str, np.ndarray]:
        ids = np.asarray(ids, dtype=np.int64)
        end = [] if self.tokenizer.eos_token_id is None else [self.tokenizer.eos_token_id]
        if end and len(ids) and ids[-1] == end[0]:
            ids = ids[:-1]
        source, target = self._pair(ids[: self.max_length - len(end)], end, random)
        return {"input_ids": source, "labels": target}

    @abstractmethod
    def _pair(self, ids: np.ndarray, end: list[int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of a text `(tokens,)` without its end token; each ends with `end`."""
