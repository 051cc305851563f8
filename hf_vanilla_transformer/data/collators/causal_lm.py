"""Batches for causal language modelling, and running text cut into blocks."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from ..packing import flatten, pack, pad, place_in_rows, round_up

_BATCH_SIZE = 1000


class CausalLanguageModelingCollator:
    """Makes a batch of documents whose next token is to be predicted; the model shifts the labels.

    A feature has `input_ids`, which are taken as they are; or it has `text`, which is tokenised here and ended with the
    tokenizer's `eos_token`. A document longer than `block_size` is cut into pieces of that size when packing (nothing
    is lost but the prediction of the first token of a piece), and truncated when padding.

    Packed, the batch has `input_ids`, `labels`, `position_ids` and `seq_idx` `(packed rows, at most block_size)`: as
    many documents a row as fit. Positions restart at 0 at each document, and `seq_idx` numbers the documents. The first
    token of a document has no label, because the token before it belongs to another document. `attention_mask` is
    present if there is padding. Padded, the batch has `input_ids`, `attention_mask` and `labels` `(rows, longest)`,
    with padding on the right.

    Args:
        tokenizer: gives the padding and end tokens, and tokenises text.
        block_size: most tokens in one row; what the model's positions can hold.
        packing: pack instead of pad.
        pad_to_multiple_of: the width is a multiple of this.
        label_pad: label of padding, which the loss ignores.

    Raises:
        ValueError: the tokenizer has no padding token, or an argument is not legal.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        block_size: int,
        *,
        packing: bool = True,
        pad_to_multiple_of: int | None = None,
        label_pad: int = -100,
    ) -> None:
        if tokenizer.pad_token is None:
            raise ValueError("The tokenizer has no pad_token; set tokenizer.pad_token, or train one for 'decoder'.")
        _check_block_size(block_size)
        if pad_to_multiple_of is not None and block_size % pad_to_multiple_of:
            raise ValueError(
                f"pad_to_multiple_of={pad_to_multiple_of} does not divide block_size={block_size}, so that a row could "
                "be longer than the model allows; choose a divisor."
            )
        self.tokenizer = tokenizer
        self.block_size = block_size
        self.packing = packing
        self.pad_to_multiple_of = pad_to_multiple_of
        self.label_pad = label_pad

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
            "labels": pad(ids, lengths, self.label_pad, width),
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
            "labels": np.where(predicted, packed.values, self.label_pad),
            "position_ids": packed.positions,
            "seq_idx": packed.sequences,
        }
        if not packed.kept.all():
            batch["attention_mask"] = packed.kept.astype(np.int64)
        return batch


class TokenBlocks(Dataset):
    """Running text as one stream of ids, cut into blocks of equal size, as GPT-2 and nanoGPT are trained.

    Item i is `{"input_ids": ids[i * block_size : (i + 1) * block_size]}`. Documents follow each other within a block;
    the end token between them is what tells them apart. What is left at the end and does not fill a block is left out.

    Args:
        ids: `(tokens,)`.
        block_size: tokens in a block.

    Raises:
        ValueError: there are fewer tokens than one block.
    """

    def __init__(self, ids: np.ndarray, block_size: int) -> None:
        _check_block_size(block_size)
        if len(ids) < block_size:
            raise ValueError(f"{len(ids)} tokens do not fill one block of {block_size}; give more text, or lower it.")
        self.ids = ids
        self.block_size = block_size

    @classmethod
    def from_texts(cls, texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, block_size: int) -> "TokenBlocks":
        """Tokenise documents, each ended with the tokenizer's `eos_token`, and join them."""
        iterator, parts = iter(texts), [np.zeros(0, dtype=np.int32)]
        while batch := list(islice(iterator, _BATCH_SIZE)):
            parts.append(flatten(encode_documents(tokenizer, batch))[0].astype(np.int32))
        return cls(np.concatenate(parts), block_size)

    def __len__(self) -> int:
        return len(self.ids) // self.block_size

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Block {index} of {len(self)}.")
        begin = index % len(self) * self.block_size
        return {"input_ids": self.ids[begin : begin + self.block_size].astype(np.int64)}


def encode_documents(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The ids of whole documents: what the tokenizer makes of each, ended with its `eos_token`.

    Raises:
        ValueError: the tokenizer has no end token.
    """
    if tokenizer.eos_token is None:
        raise ValueError("The tokenizer has no eos_token to end documents with; set tokenizer.eos_token.")
    # A document may be longer than the model: it is cut afterwards, and the warning about that would mislead.
    ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [one if one and one[-1] == end else [*one, end] for one in ids]


def _check_block_size(block_size: int) -> None:
    if block_size < 2:
        raise ValueError(f"block_size must be at least 2, since the first token predicts nothing, but is {block_size}.")
