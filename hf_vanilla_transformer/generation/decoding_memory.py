"""How much memory decoding takes, from the sizes of the model and of the batch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .key_value_pool import FEW_COLUMNS

# Tensors of the size of the scores that exist at once: logits, log-probabilities, and what processors make of them.
_SCORES = 4
# Hidden states of a source that exist at once in a layer of the encoder, and states of its feed-forward network.
_STATES, _WIDE_STATES = 8, 2


def memory_of_row(config: Any, source: int, new_tokens: int, num_beams: int = 1, bytes_per_number: int = 4) -> int:
    """At most how many bytes one source takes in the decoding loop of the package, weights excluded.

    It counts the keys and values of all beams, which share nothing in the worst case, twice, because they are copied
    when there is no more room or new sources enter; the keys and values of the source, likewise; the scores of the
    vocabulary; and the states of the encoder. A batch takes this times its rows.

    Args:
        config: configuration of an encoder-decoder.
        source: tokens of the source, padding included.
        new_tokens: most tokens to generate.
        num_beams: hypotheses of each source.
        bytes_per_number: 4 for float32.
    """
    hidden, heads = config.hidden_size, config.num_attention_heads
    columns = 2 * (1 + num_beams * new_tokens) + FEW_COLUMNS * num_beams
    keys_and_values = 2 * config.decoder_layers * 2 * hidden * (columns + source)
    masks = 2 * heads * (num_beams * columns + source)
    scores = _SCORES * num_beams * config.vocab_size
    encoder = source * (_STATES * hidden + _WIDE_STATES * config.intermediate_size) + 2 * heads * source**2
    return bytes_per_number * (keys_and_values + masks + scores + encoder)


def rows_within(
    memory: int, config: Any, lengths: Sequence[int], limits: Sequence[int], num_beams: int, bytes_per_number: int = 4
) -> int:
    """How many sources a batch may have so that decoding takes at most `memory` bytes beside the weights.

    Args:
        memory: in bytes.
        config: configuration of an encoder-decoder.
        lengths: tokens of each source.
        limits: most tokens of each output.
        num_beams: hypotheses of each source.
        bytes_per_number: 4 for float32.

    Raises:
        ValueError: the memory is too little for one of the sources.
    """
    longest, limit = max(lengths, default=1), max(limits, default=1)
    of_row = memory_of_row(config, longest, limit, num_beams, bytes_per_number)
    if of_row > memory:
        raise ValueError(
            f"memory_per_batch={memory} bytes is too little: a source of {longest} tokens with {limit} new tokens and "
            f"num_beams={num_beams} may take {of_row} bytes. Give at least that, fewer beams or shorter sources."
        )
    return memory // of_row
