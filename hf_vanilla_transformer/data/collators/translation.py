"""Batches of pairs for the encoder-decoder: padded, with one pair per row, or packed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ...tokenization import bpe_dropout
from ..packing import flatten, pack, pad, place_in_rows, round_up, shift_right


class TranslationCollator:
    """Makes batches of source-target pairs.

    A feature has `input_ids` (source) and `labels` (target), both with the end token, as the tokenizer returns them; or
    it has `source` and `target` as text, which the collator tokenizes. The decoder's input is the target, shifted right
    by one position, after the tokenizer's `bos_token`.

    Padded, the batch has `input_ids`, `attention_mask` `(rows, source)`, `labels` and `decoder_input_ids`
    `(rows, target)`. The decoder needs no mask, because its padding follows all tokens and has no labels.

    Packed, it has `input_ids`, `position_ids`, `seq_idx` `(packed rows, source)`, `labels`, `decoder_input_ids`,
    `decoder_position_ids`, `decoder_seq_idx` `(packed rows, target)`. Positions restart at 0 at each sequence.
    `seq_idx` numbers the sequences of a row, and a source and its target have the same number. `attention_mask` and
    `decoder_attention_mask` are present if that side has padding.

    Args:
        tokenizer: provides the padding and start tokens, and tokenizes text.
        packing: pack instead of pad.
        row_length: packed only, the maximum number of tokens of a row on either side; None puts all pairs into one row.
        pad_to_multiple_of: widths are multiples of this.
        label_pad_token_id: the label of padding, which the loss ignores.
        max_length: text only, each side is truncated to this number of tokens, with its end token.
        dropout: text only, the probability of BPE dropout (see `tokenization.bpe_dropout`), for training.

    Raises:
        ValueError: the tokenizer has no padding or start token, or an argument is illegal.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        packing: bool = False,
        row_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        label_pad_token_id: int = -100,
        max_length: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        for role in ("pad_token", "bos_token"):
            if getattr(tokenizer, role) is None:
                raise ValueError(f"The tokenizer has no {role}; set tokenizer.{role}, or train one for 'seq2seq'.")
        if row_length is not None and not packing:
            raise ValueError(f"row_length={row_length} needs packing=True; omit it, or set packing=True.")
        self.tokenizer = tokenizer
        self.packing = packing
        self.row_length = row_length
        self.pad_to_multiple_of = pad_to_multiple_of
        self.label_pad_token_id = label_pad_token_id
        self.max_length = max_length
        self.dropout = dropout

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if "source" in features[0]:
            sources = self._tokenize([feature["source"] for feature in features])
            targets = self._tokenize([feature["target"] for feature in features])
        else:
            sources = [feature["input_ids"] for feature in features]
            targets = [feature["labels"] for feature in features]
        source, source_lengths = flatten(sources)
        target, target_lengths = flatten(targets)
        decoder_input = shift_right(target, target_lengths, self.tokenizer.bos_token_id)
        make = self._packed if self.packing else self._padded
        batch = make(source, source_lengths, target, decoder_input, target_lengths)
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        options = {} if self.max_length is None else {"truncation": True, "max_length": self.max_length}
        if self.dropout == 0:
            return self.tokenizer(texts, return_attention_mask=False, **options)["input_ids"]
        with bpe_dropout(self.tokenizer, self.dropout):
            return self.tokenizer(texts, return_attention_mask=False, **options)["input_ids"]

    def _padded(
        self,
        source: np.ndarray,
        source_lengths: np.ndarray,
        target: np.ndarray,
        decoder_input: np.ndarray,
        target_lengths: np.ndarray,
    ) -> dict[str, np.ndarray]:
        fill = self.tokenizer.pad_token_id
        source_width = round_up(int(source_lengths.max()), self.pad_to_multiple_of)
        target_width = round_up(int(target_lengths.max()), self.pad_to_multiple_of)
        return {
            "input_ids": pad(source, source_lengths, fill, source_width),
            "attention_mask": (np.arange(source_width) < source_lengths[:, None]).astype(np.int64),
            "labels": pad(target, target_lengths, self.label_pad_token_id, target_width),
            "decoder_input_ids": pad(decoder_input, target_lengths, fill, target_width),
        }

    def _packed(
        self,
        source: np.ndarray,
        source_lengths: np.ndarray,
        target: np.ndarray,
        decoder_input: np.ndarray,
        target_lengths: np.ndarray,
    ) -> dict[str, np.ndarray]:
        fill, multiple = self.tokenizer.pad_token_id, self.pad_to_multiple_of
        rows = place_in_rows(np.stack([source_lengths, target_lengths], axis=1), self.row_length)
        sources = pack(source, source_lengths, rows, fill, multiple)
        labels = pack(target, target_lengths, rows, self.label_pad_token_id, multiple)
        inputs = pack(decoder_input, target_lengths, rows, fill, multiple)
        batch = {
            "input_ids": sources.values,
            "position_ids": sources.positions,
            "seq_idx": sources.sequences,
            "labels": labels.values,
            "decoder_input_ids": inputs.values,
            "decoder_position_ids": inputs.positions,
            "decoder_seq_idx": inputs.sequences,
        }
        if not sources.kept.all():
            batch["attention_mask"] = sources.kept.astype(np.int64)
        if not inputs.kept.all():
            batch["decoder_attention_mask"] = inputs.kept.astype(np.int64)
        return batch
