"""How probable a model finds what was generated: its own probabilities, not the scores of the search that found it."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

# Logits that are in memory at a time, in numbers: 256 MB in float32.
_LOGITS_AT_ONCE = 1 << 26


@torch.inference_mode()
def translation_log_probabilities(
    model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, sequences: torch.Tensor
) -> torch.Tensor:
    """log p(target | source), summed over the tokens up to the end mark and with it, by teacher forcing.

    Args:
        model: an encoder-decoder, in evaluation mode.
        input_ids: (rows, source) ids of the sources.
        attention_mask: (rows, source) 0 at padding.
        sequences: (rows, answers, length) what `generate` wrote, the decoder's start token first.

    Returns:
        (rows, answers) in nats.
    """
    rows, answers, length = sequences.shape
    at_once = max(1, _LOGITS_AT_ONCE // (length * model.config.vocab_size))
    found = sequences.new_zeros(rows, answers, dtype=torch.float32)
    for first in range(0, rows, at_once):
        part = slice(first, first + at_once)
        for answer in range(answers):
            targets = sequences[part, answer, 1:]
            logits = model(
                input_ids=input_ids[part],
                attention_mask=attention_mask[part],
                decoder_input_ids=sequences[part, answer, :-1],
                use_cache=False,
            ).logits
            found[part, answer] = _log_probability(logits, targets, _written(model, targets))
    return found


@torch.inference_mode()
def continuation_log_probabilities(
    model: PreTrainedModel, sequences: torch.Tensor, attention_mask: torch.Tensor, prompt_length: int
) -> torch.Tensor:
    """log p(continuation | prompt), summed over the tokens up to the end mark and with it.

    Args:
        model: a decoder, in evaluation mode.
        sequences: (rows, length) prompts with what `generate` wrote after them.
        attention_mask: (rows, prompt_length) 0 at the padding of the prompts, which is on the left.
        prompt_length: tokens of the prompts, padding included.

    Returns:
        (rows,) in nats.
    """
    found = []
    # One at a time and without padding: prompts are few, and not every model knows what padding on the left is.
    for row, mask in zip(sequences, attention_mask.bool()):
        targets = row[None, prompt_length:]
        ids = torch.cat([row[:prompt_length][mask][None], targets], dim=1)
        logits = model(input_ids=ids, use_cache=False).logits[:, -targets.shape[1] - 1 : -1]
        found.append(_log_probability(logits, targets, _written(model, targets)))
    return torch.cat(found)


def _log_probability(logits: torch.Tensor, targets: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
    """(rows, length, vocabulary) logits, (rows, length) ids and bools to (rows,)."""
    logits = logits.float()
    steps = logits.gather(2, targets[:, :, None])[:, :, 0] - logits.logsumexp(dim=2)
    return steps.masked_fill(~written, 0.0).sum(dim=1)


def _written(model: PreTrainedModel, targets: torch.Tensor) -> torch.Tensor:
    """(rows, length) which tokens are the model's: those up to the first end mark, but padding."""
    config = model.generation_config
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    is_end = torch.zeros_like(targets, dtype=torch.bool)
    for end in ends:
        if end is not None:
            is_end |= targets == end
    after_end = is_end.cumsum(dim=1) > is_end.int()
    # A model without a token for padding is padded with its end mark, which the first end mark rules out.
    if config.pad_token_id is None or config.pad_token_id in ends:
        return ~after_end
    return ~after_end & (targets != config.pad_token_id)
