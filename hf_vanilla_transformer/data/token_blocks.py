"""Documents as token ids, and running text cut into blocks."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from .packing import flatten

# Documents per call of the tokenizer.
_BATCH_SIZE = 1000


class TokenBlocks(Dataset):
    """Running text as one stream of token ids, cut into blocks of equal size, as GPT-2 and nanoGPT are trained.

    Item i is `{"input_ids": ids[i * block_size : (i + 1) * block_size]}`. A block may contain several documents, which
    only the end token separates. The last tokens are dropped if they do not fill a block.

    Args:
        ids: `(tokens,)`.
        block_size: the number of tokens of a block.

    Raises:
        ValueError: there are fewer tokens than one block.
    """

    def __init__(self, ids: np.ndarray, block_size: int) -> None:
        check_block_size(block_size)
        if len(ids) < block_size:
            raise ValueError(
                f"{len(ids)} tokens do not fill a block of block_size={block_size}; lower it, or give more text."
            )
        self.ids = ids
        self.block_size = block_size

    @classmethod
    def from_texts(cls, texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, block_size: int) -> "TokenBlocks":
        """Tokenizes documents, appends the `eos_token` to each, and joins them."""
        iterator, parts = iter(texts), [np.zeros(0, dtype=np.int32)]
        while batch := list(islice(iterator, _BATCH_SIZE)):
            parts.append(flatten(encode_documents(tokenizer, batch))[0].astype(np.int32))
        return cls(np.concatenate(parts), block_size)

    def __len__(self) -> int:
        return len(self.ids) // self.block_size

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There is no block {index}: there are {len(self)}.")
        begin = index % len(self) * self.block_size
        return {"input_ids": self.ids[begin : begin + self.block_size].astype(np.int64)}


def encode_documents(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The token ids of complete documents, each with the tokenizer's `eos_token` at its end.

    Raises:
        ValueError: the tokenizer has no end token.
    """
    if tokenizer.eos_token is None:
        raise ValueError("The tokenizer has no eos_token for the end of documents; set tokenizer.eos_token.")
    # verbose=False: documents are split later, so the warning that they are too long would mislead.
    ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [one if one and one[-1] == end else [*one, end] for one in ids]


def check_block_size(block_size: int) -> None:
    """Raises ValueError if a block has fewer than 2 tokens."""
    if block_size < 2:
        raise ValueError(f"block_size must be at least 2, because the first token has no label, but is {block_size}.")
