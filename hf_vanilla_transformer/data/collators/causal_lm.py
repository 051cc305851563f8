"""Batches for causal language modeling."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..packing import flatten, pack, pad, place_in_rows, round_up
from ..token_blocks import check_block_size, encode_documents


class CausalLanguageModelingCollator:
    """Makes batches of documents for predicting the next token; the model shifts the labels.

    A feature has `input_ids`, which stay as they are; or it has `text`, which the collator tokenizes and ends with the
    tokenizer's `eos_token`. Packing splits a document longer than `block_size` into pieces of that size (only the
    labels of the first tokens of the pieces are lost); padding truncates it.

    Packed, the batch has `input_ids`, `labels`, `position_ids` and `seq_idx` `(packed rows, at most block_size)`: as
    many documents a row as fit. Positions restart at 0 at each document, and `seq_idx` numbers the documents. The first
    token of a document has no label, because the token before it belongs to another document. `attention_mask` is
    present if there is padding. Padded, the batch has `input_ids`, `attention_mask` and `labels` `(rows, longest)`,
    with padding on the right.

    Args:
        tokenizer: provides the padding and end tokens, and tokenizes text.
        block_size: the maximum number of tokens of a row; at most the number of positions of the model.
        packing: pack instead of pad.
        pad_to_multiple_of: the width is a multiple of this.
        label_pad_token_id: the label of padding, which the loss ignores.

    Raises:
        ValueError: the tokenizer has no padding token, or an argument is illegal.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        block_size: int,
        *,
        packing: bool = True,
        pad_to_multiple_of: int | None = None,
        label_pad_token_id: int = -100,
    ) -> None:
        if tokenizer.pad_token is None:
            raise ValueError("The tokenizer has no pad_token; set tokenizer.pad_token, or train one for 'decoder'.")
        check_block_size(block_size)
        if pad_to_multiple_of is not None and block_size % pad_to_multiple_of:
            raise ValueError(
                f"pad_to_multiple_of={pad_to_multiple_of} does not divide block_size={block_size}, so that a row could "
                "be longer than the model allows; choose a divisor."
            )
        self.tokenizer = tokenizer
        self.block_size = block_size
        self.packing = packing
        self.pad_to_multiple_of = pad_to_multiple_of
        self.label_pad_token_id = label_pad_token_id

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if "text" in features[0]:
            documents: Sequence[Any] = encode_documents(self.tokenizer, [feature["text"] for feature in features])
        else:
            documents = [feature["input_ids"] for feature in features]
        batch = self._packed(documents) if self.packing else self._padded(documents)
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}

    def _padded(self, documents: Sequence[Any]) -> dict[str, np.ndarray]:
        ids, lengths = flatten([document[: self.block_size] for document in documents])
        width = round_up(int(lengths.max()), self.pad_to_multiple_of)
        return {
            "input_ids": pad(ids, lengths, self.tokenizer.pad_token_id, width),
            "attention_mask": (np.arange(width) < lengths[:, None]).astype(np.int64),
            "labels": pad(ids, lengths, self.label_pad_token_id, width),
        }

    def _packed(self, documents: Sequence[Any]) -> dict[str, np.ndarray]:
        ids, lengths = flatten(
            [
                document[begin : begin + self.block_size]
                for document in documents
                for begin in range(0, len(document), self.block_size)
            ]
        )
        rows = place_in_rows(lengths[:, None], self.block_size)
        packed = pack(ids, lengths, rows, self.tokenizer.pad_token_id, self.pad_to_multiple_of)
        predicted = packed.kept & (packed.positions > 0)
        batch = {
            "input_ids": packed.values,
            "labels": np.where(predicted, packed.values, self.label_pad_token_id),
            "position_ids": packed.positions,
            "seq_idx": packed.sequences,
        }
        if not packed.kept.all():
            batch["attention_mask"] = packed.kept.astype(np.int64)
        return batch
