"""Batches for masked language modeling: padded, with one text per row, or packed."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..packing import flatten, pack, pad, place_in_rows, round_up
from .masking import MaskingRates, choose_units, mask_tokens
from .span_masking import draw_spans, span_length_weights
from .word_boundaries import word_boundaries

MaskingUnit = Literal["token", "whole_word", "span"]


class MaskedLanguageModelingCollator:
    """Makes batches of texts, some tokens of which are masked and predicted.

    A feature has `input_ids`, and may have `token_type_ids`, `special_tokens_mask` and, if not packed,
    `next_sentence_label`; or it has `text`, which the collator tokenizes. A fraction `mask_probability` of the tokens
    that are not special is predicted. Of these, `mask_share` become the mask token, `random_share` a random token, and
    the others stay. Each batch is masked anew ("dynamic masking"), with random numbers from torch's global generator.

    The batch has `input_ids`, `labels`, `token_type_ids` if the features have them, and padded also `attention_mask`,
    all `(rows, width)`. Packed, it has `position_ids`, which restart at 0 at each text, `seq_idx`, which numbers the
    texts of a row, and `attention_mask` only if there is padding.

    Args:
        tokenizer: provides the padding, mask and special tokens.
        mask_probability: the fraction of the tokens that is predicted.
        mask_share: the fraction of these that becomes the mask token.
        random_share: the fraction of these that becomes a random token.
        unit: the unit of prediction: a `"token"`, all tokens of a `"whole_word"`, or a `"span"` of complete words
            (SpanBERT), whose tokens are all masked, all replaced or all unchanged.
        mean_span_length: spans only, the mean length in words.
        max_span_length: spans only, the maximum length in words.
        packing: pack instead of pad.
        row_length: packed only, the maximum number of tokens of a row; None puts all texts into one row.
        pad_to_multiple_of: the width is a multiple of this.
        label_pad_token_id: the label of tokens that are not predicted, which the loss ignores.
        max_length: `text` only, texts are truncated to this number of tokens.

    Raises:
        ValueError: the tokenizer has no padding or mask token, or an argument is illegal.
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
        label_pad_token_id: int = -100,
        max_length: int | None = None,
    ) -> None:
        for role in ("pad_token", "mask_token"):
            if getattr(tokenizer, role) is None:
                raise ValueError(f"The tokenizer has no {role}; set tokenizer.{role}, or train one for 'encoder'.")
        if row_length is not None and not packing:
            raise ValueError(f"row_length={row_length} needs packing=True; omit it, or set packing=True.")
        if unit not in get_args(MaskingUnit):
            raise ValueError(f"unit must be one of {', '.join(get_args(MaskingUnit))}, but is {unit!r}.")
        self.tokenizer = tokenizer
        self.rates = MaskingRates(mask_probability, mask_share, random_share)
        self.packing = packing
        self.row_length = row_length
        self.pad_to_multiple_of = pad_to_multiple_of
        self.label_pad_token_id = label_pad_token_id
        self.max_length = max_length
        self._special = np.zeros(len(tokenizer), dtype=bool)
        self._special[tokenizer.all_special_ids] = True
        self._ordinary = np.flatnonzero(~self._special)
        self._starts, self._ends = word_boundaries(tokenizer) if unit != "token" else (None, None)
        self._span_lengths = span_length_weights(mean_span_length, max_span_length) if unit == "span" else None

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if "text" in features[0]:
            features = self._tokenize([feature["text"] for feature in features])
        ids, lengths = flatten([feature["input_ids"] for feature in features])
        if "special_tokens_mask" in features[0]:
            special = flatten([feature["special_tokens_mask"] for feature in features])[0].astype(bool)
        else:
            special = self._special[ids]
        predicted, spans = self._choose(ids, lengths, special)
        masked_ids, labels = mask_tokens(
            ids, predicted, spans, self.tokenizer.mask_token_id, self._ordinary, self.rates, self.label_pad_token_id
        )
        columns = {"input_ids": (masked_ids, self.tokenizer.pad_token_id), "labels": (labels, self.label_pad_token_id)}
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
        """Whether each token is predicted, and the number of its span if spans are masked; both `(tokens,)`."""
        units = self._units(ids, lengths, special)
        if self._span_lengths is None:
            return choose_units(~special, units, self.rates.predicted), None
        # torch's generator seeds numpy's, so that torch.manual_seed also determines the spans.
        random = np.random.default_rng(int(torch.randint(2**62, (1,))))
        spans = draw_spans(~special, units, lengths, self.rates.predicted, self._span_lengths, random)
        if (spans < 0).all():  # a batch without labels has no loss
            return choose_units(~special, units, self.rates.predicted), None
        return spans >= 0, spans

    def _units(self, ids: np.ndarray, lengths: np.ndarray, special: np.ndarray) -> np.ndarray:
        """The number of the unit of each token, from 0, `(tokens,)`: a token or a word."""
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
