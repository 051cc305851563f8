"""Outputs of our model for the comparison with an exported one: plain greedy search without `generate`'s settings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from .protocol import Check

__all__ = ["compare_sequences", "end_token", "greedy", "prompts", "step_limit"]

_STEPS = 24


def end_token(model: PreTrainedModel) -> int | None:
    """The id of the end token, or None.

    Raises:
        ValueError: there are several end tokens.
    """
    eos = model.config.eos_token_id
    if isinstance(eos, list):
        if len(eos) != 1:
            raise ValueError(f"eos_token_id={eos} would have to be a single id.")
        return eos[0]
    return eos


def step_limit(model: PreTrainedModel) -> int:
    """Number of tokens to generate for a comparison."""
    longest = model.config.max_position_embeddings
    return max(1, min(_STEPS, longest - 1 if model.config.is_encoder_decoder else longest // 2))


def prompts(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Input rows of the search: sources of an encoder-decoder, or prompts that leave room for `step_limit` tokens."""
    limit = model.config.max_position_embeddings
    if not model.config.is_encoder_decoder:
        limit = max(1, limit - step_limit(model))
    return [list(row[:limit]) for row in rows]


@torch.no_grad()
def greedy(model: PreTrainedModel, row: Sequence[int], steps: int) -> list[int]:
    """Ids of the most probable next token, `steps` times or until the end token, which is not returned.

    Args:
        model: an encoder-decoder or a decoder with a language-model head, in evaluation mode.
        row: ids of the source or the prompt.
    """
    ids = torch.tensor([list(row)], device=model.device)
    arguments = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        arguments = {
            "encoder_outputs": model.get_encoder()(ids),
            "decoder_input_ids": torch.tensor([[start]], device=model.device),
        }
    eos, tokens = end_token(model), []
    for _ in range(steps):
        outputs = model(**arguments, use_cache=True)
        tokens.append(int(outputs.logits[0, -1].argmax()))
        if tokens[-1] == eos:
            return tokens[:-1]
        name = "decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"
        arguments[name] = torch.tensor([tokens[-1:]], device=model.device)
        arguments["past_key_values"] = outputs.past_key_values
    return tokens


def compare_sequences(what: str, ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> list[Check]:
    """Number of identical sequences, and number of tokens before the first difference."""
    identical, tokens = 0, 0
    for first, second in zip(ours, theirs, strict=True):
        identical += list(first) == list(second)
        differing = (position for position, pair in enumerate(zip(first, second)) if pair[0] != pair[1])
        tokens += next(differing, min(len(first), len(second)))
    return [
        Check(f"{what}, complete outputs", same=identical, total=len(ours)),
        Check(f"{what}, tokens before the first difference", same=tokens, total=sum(map(len, ours))),
    ]
