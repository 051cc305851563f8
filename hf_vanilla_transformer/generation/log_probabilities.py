"""Log-probabilities of generated text under the model. They are not the scores of beam search."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

# Number of logits in memory at a time: 256 MB in float32.
_LOGITS_AT_ONCE = 1 << 26


@torch.inference_mode()
def translation_log_probabilities(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    sequences: torch.Tensor,
    max_lengths: torch.Tensor | None = None,
) -> torch.Tensor:
    """log p(target | source) by teacher forcing, summed over the tokens up to and including the end token.

    Args:
        model: an encoder-decoder, in evaluation mode.
        input_ids: (rows, source) ids of the sources.
        attention_mask: (rows, source) 0 at padding.
        sequences: (rows, answers, length) output of `generate`, including the decoder's start token.
        max_lengths: (rows,) how many tokens of each row were generated at most. Beam search fills the rows of a batch
            that end earlier, and a row that was cut has no end token before this filling.

    Returns:
        (rows, answers) in nats.
    """
    rows, answers, length = sequences.shape
    at_once = max(1, _LOGITS_AT_ONCE // (length * model.config.vocab_size))
    log_probabilities = sequences.new_zeros(rows, answers, dtype=torch.float32)
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
            generated = _generated(model, targets)
            if max_lengths is not None:
                positions = torch.arange(targets.shape[1], device=targets.device)
                generated &= positions < max_lengths[part, None].to(targets.device)
            log_probabilities[part, answer] = _log_probability(logits, targets, generated)
    return log_probabilities


@torch.inference_mode()
def continuation_log_probabilities(
    model: PreTrainedModel, sequences: torch.Tensor, attention_mask: torch.Tensor, prompt_length: int
) -> torch.Tensor:
    """log p(continuation | prompt), summed over the tokens up to and including the end token.

    Args:
        model: a decoder, in evaluation mode.
        sequences: (rows, length) output of `generate`: prompts with their continuations.
        attention_mask: (rows, prompt_length) 0 at the padding of the prompts, which is on the left.
        prompt_length: number of tokens of the prompts, including padding.

    Returns:
        (rows,) in nats.
    """
    log_probabilities = []
    # One row at a time without padding: prompts are few, and some models do not support padding on the left.
    for row, mask in zip(sequences, attention_mask.bool()):
        targets = row[None, prompt_length:]
        ids = torch.cat([row[:prompt_length][mask][None], targets], dim=1)
        logits = model(input_ids=ids, use_cache=False).logits[:, -targets.shape[1] - 1 : -1]
        log_probabilities.append(_log_probability(logits, targets, _generated(model, targets)))
    return torch.cat(log_probabilities)


def _log_probability(logits: torch.Tensor, targets: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """(rows,) from (rows, length, vocabulary) logits, (rows, length) ids and (rows, length) bools."""
    logits = logits.float()
    steps = logits.gather(2, targets[:, :, None])[:, :, 0] - logits.logsumexp(dim=2)
    return steps.masked_fill(~generated, 0.0).sum(dim=1)


def _generated(model: PreTrainedModel, targets: torch.Tensor) -> torch.Tensor:
    """(rows, length) True for the tokens that the model generated: those up to the first end token, without padding."""
    config = model.generation_config
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    is_end = torch.zeros_like(targets, dtype=torch.bool)
    for end in ends:
        if end is not None:
            is_end |= targets == end
    after_end = is_end.cumsum(dim=1) > is_end.int()
    # A model without a padding token is padded with its end token, and all but the first end token are excluded above.
    if config.pad_token_id is None or config.pad_token_id in ends:
        return ~after_end
    return ~after_end & (targets != config.pad_token_id)
