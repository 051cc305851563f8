"""Reversed texts for a backward language model (Howard and Ruder 2018, section 3.3)."""

from collections.abc import Collection, Sequence


def reverse_tokens(ids: Sequence[int], special_ids: Collection[int]) -> list[int]:
    """The tokens of one text in reverse order; special tokens at its beginning and end keep their positions.

    Args:
        ids: the token ids of one text, as a tokenizer returns them.
        special_ids: the tokenizer's `all_special_ids`.
    """
    ids = list(ids)
    begin, end = 0, len(ids)
    while begin < end and ids[begin] in special_ids:
        begin += 1
    while end > begin and ids[end - 1] in special_ids:
        end -= 1
    return ids[:begin] + ids[begin:end][::-1] + ids[end:]
