"""The sentinel tokens of T5 (Raffel et al. 2020), each of which stands for a span that the model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def sentinel_name(number: int) -> str:
    """The name of a sentinel token in T5."""
    return f"<extra_id_{number}>"


def sentinel_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of the tokenizer's sentinels with the numbers 0, 1, 2, ... without gaps."""
    ids: list[int] = []
    vocabulary = tokenizer.get_vocab()
    while (identifier := vocabulary.get(sentinel_name(len(ids)))) is not None:
        ids.append(identifier)
    return ids
