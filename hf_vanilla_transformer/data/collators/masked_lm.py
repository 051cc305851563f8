"""Batches for masked language modelling: texts padded one a row, or packed end to end."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..packing import flatten, pack, pad, place_in_rows, round_up
from .masking import MaskingRates, choose_units, hide, word_starts
from .span_masking import draw_spans, span_length_weights

MaskingUnit = Literal["token", "whole_word", "span"]


class MaskedLanguageModelingCollator:
    """Makes a batch of texts, some tokens of which are hidden and to be predicted.

    A feature has `input_ids`, and may have `token_type_ids`, `special_tokens_mask` and, if not packed,
    `next_sentence_label`; or it has `text`, which is tokenised here. Of the tokens that are not special,
    `mask_probability` are predicted; of these, `mask_share` are shown as the mask token, `random_share` as a random
    one, and the rest as they are. The draw is new for every batch ("dynamic masking"), from torch's global generator.

    The batch has `input_ids`, `labels`, `token_type_ids` if the features have them, and padded also `attention_mask`,
    all `(rows, width)`. Packed, it has `position_ids`, which restart at 0 at each text, `seq_idx`, which numbers the
    texts of a row, and `attention_mask` only if there is padding.

    Args:
        tokenizer: gives the padding, mask and special tokens.
        mask_probability: the part of the tokens that is predicted.
        mask_share: the part of these that is masked.
        random_share: the part of these that is replaced.
        unit: what is predicted as a whole: a `"token"`, all pieces of a `"whole_word"`, or a `"span"` of whole words
            (SpanBERT), of which all tokens are masked, all replaced, or none.
        mean_span_length: spans only, their mean length in words.
        max_span_length: spans only, the longest in words.
        packing: pack instead of pad.
        row_length: packed only, most tokens in one row; None makes one row of everything.
        pad_to_multiple_of: the width is a multiple of this.
        label_pad: label of what is not predicted, which the loss ignores.
        max_length: `text` only, cut to so many tokens.

    Raises:
        ValueError: the tokenizer has no padding or mask token, or an argument is not legal.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        mask_probability: float = 0.15,
        *,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        unit: MaskingUnit = "token",
        mean_span_length: float = 3.8,
        max_span_length: int = 10,
        packing: bool = False,
        row_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        label_pad: int = -100,
        max_length: int | None = None,
    ) -> None:
        for role in ("pad_token", "mask_token"):
            if getattr(tokenizer, role) is None:
                raise ValueError(f"The tokenizer has no {role}; set tokenizer.{role}, or train one for 'encoder'.")
        if row_length is not None and not packing:
            raise ValueError(f"row_length={row_length} is for packing=True only; leave it out, or pack.")
        if unit not in get_args(MaskingUnit):
            raise ValueError(f"unit must be one of {', '.join(get_args(MaskingUnit))}, but is {unit!r}.")
        self.tokenizer = tokenizer
        self.rates = MaskingRates(mask_probability, mask_share, random_share)
        self.packing = packing
        self.row_length = row_length
        self.pad_to_multiple_of = pad_to_multiple_of
        self.label_pad = label_pad
        self.max_length = max_length
        self._special = np.zeros(len(tokenizer), dtype=bool)
        self._special[tokenizer.all_special_ids] = True
        self._ordinary = np.flatnonzero(~self._special)
        self._starts, self._ends = word_starts(tokenizer) if unit != "token" else (None, None)
        self._span_lengths = span_length_weights(mean_span_length, max_span_length) if unit == "span" else None

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if "text" in features[0]:
            features = self._tokenize([feature["text"] for feature in features])
        ids, lengths = flatten([feature["input_ids"] for feature in features])
        if "special_tokens_mask" in features[0]:
            special = flatten([feature["special_tokens_mask"] for feature in features])[0].astype(bool)
        else:
            special = self._special[ids]
        predicted, fates = self._choose(ids, lengths, special)
        shown, labels = hide(
            ids, predicted, fates, self.tokenizer.mask_token_id, self._ordinary, self.rates, self.label_pad
        )
        columns = {"input_ids": (shown, self.tokenizer.pad_token_id), "labels": (labels, self.label_pad)}
        if "token_type_ids" in features[0]:
            columns["token_type_ids"] = (flatten([feature["token_type_ids"] for feature in features])[0], 0)
        batch = (self._packed if self.packing else self._padded)(columns, lengths)
        if "next_sentence_label" in features[0]:
            if self.packing:
                raise ValueError(
                    "next_sentence_label belongs to a row, but packed rows hold several texts; set packing=False."
                )
            batch["next_sentence_label"] = np.array([feature["next_sentence_label"] for feature in features])
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}

    def _tokenize(self, texts: list[str]) -> list[dict[str, Any]]:
        options = {} if self.max_length is None else {"truncation": True, "max_length": self.max_length}
        encoded = self.tokenizer(texts, return_attention_mask=False, **options)
        return [dict(zip(encoded, values)) for values in zip(*encoded.values())]

    def _choose(
        self, ids: np.ndarray, lengths: np.ndarray, special: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What is predicted, `(tokens,)`, and which tokens share their fate, if they do."""
        units = self._units(ids, lengths, special)
        if self._span_lengths is None:
            return choose_units(~special, units, self.rates.predicted), None
        # One number of torch's seeds them all, so that spans follow torch's random numbers like everything else here.
        random = np.random.default_rng(int(torch.randint(2**62, (1,))))
        spans = draw_spans(~special, units, lengths, self.rates.predicted, self._span_lengths, random)
        if (spans < 0).all():  # a batch without labels has no loss
            return choose_units(~special, units, self.rates.predicted), None
        return spans >= 0, spans

    def _units(self, ids: np.ndarray, lengths: np.ndarray, special: np.ndarray) -> np.ndarray:
        """What is drawn as a whole, numbered from 0: each token, or each word."""
        if self._starts is None or self._ends is None:
            return np.arange(len(ids))
        begins = self._starts[ids] | special
        begins[1:] |= self._ends[ids[:-1]] | special[:-1]
        first = np.cumsum(lengths) - lengths
        begins[first[lengths > 0]] = True
        return np.cumsum(begins) - 1

    def _padded(self, columns: dict[str, tuple[np.ndarray, int]], lengths: np.ndarray) -> dict[str, np.ndarray]:
        width = round_up(int(lengths.max()), self.pad_to_multiple_of)
        batch = {name: pad(flat, lengths, fill, width) for name, (flat, fill) in columns.items()}
        batch["attention_mask"] = (np.arange(width) < lengths[:, None]).astype(np.int64)
        return batch

    def _packed(self, columns: dict[str, tuple[np.ndarray, int]], lengths: np.ndarray) -> dict[str, np.ndarray]:
        rows = place_in_rows(lengths[:, None], self.row_length)
        packed = {
            name: pack(flat, lengths, rows, fill, self.pad_to_multiple_of) for name, (flat, fill) in columns.items()
        }
        batch = {name: one.values for name, one in packed.items()}
        batch["position_ids"] = packed["input_ids"].positions
        batch["seq_idx"] = packed["input_ids"].sequences
        if not packed["input_ids"].kept.all():
            batch["attention_mask"] = packed["input_ids"].kept.astype(np.int64)
        return batch
