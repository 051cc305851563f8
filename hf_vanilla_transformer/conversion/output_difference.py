"""Compare the outputs of two models for the same random tokens."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from ..evaluation_mode import evaluation_mode

__all__ = ["OUTPUTS", "largest_difference"]

# Outputs of a forward pass, in the order of comparison.
OUTPUTS = (
    "logits",
    "prediction_logits",
    "seq_relationship_logits",
    "start_logits",
    "end_logits",
    "pooler_output",
    "last_hidden_state",
)
# Rounding error of sums in another order, relative to the largest output.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
_TOLERANCE_OF_HALF = 0.1
_LENGTH = 24
_FRAMES = 70


@torch.no_grad()
def largest_difference(reference: PreTrainedModel, ours: PreTrainedModel, seed: int = 0) -> float:
    """The largest absolute difference between the outputs of two models for one random row, without dropout.

    Args:
        reference: a model of transformers.
        ours: the converted model.
        seed: seed of the random tokens.

    Raises:
        ValueError: the difference is too large for rounding.
    """
    arguments = _random_inputs(reference, ours, seed)
    with evaluation_mode(reference), evaluation_mode(ours):
        theirs, mine = (model(**arguments) for model in (reference, ours))
    worst = 0.0
    for name in OUTPUTS:
        if theirs.get(name) is None:
            continue
        expected, actual = theirs[name].float(), mine[name].float()
        difference = float((expected - actual).abs().max())
        tolerance = _TOLERANCE.get(reference.dtype, _TOLERANCE_OF_HALF) * max(1.0, float(expected.abs().max()))
        if not difference <= tolerance:
            raise ValueError(
                f"{name} of the converted model differs by {difference:.1e} from that of {type(reference).__name__}; "
                f"rounding explains at most {tolerance:.1e}. Check the weights for infinite and NaN values. If there "
                "are none, this is a bug of the conversion; please report it with the model's configuration."
            )
        worst = max(worst, difference)
    return worst


def _random_inputs(reference: PreTrainedModel, ours: PreTrainedModel, seed: int) -> dict[str, Any]:
    config = ours.config
    length = min(_LENGTH, config.max_position_embeddings)
    generator = torch.Generator().manual_seed(seed)

    def tokens(*shape: int) -> torch.Tensor:
        ids = torch.randint(config.vocab_size, shape, generator=generator)
        # Some models recognise padding by its id, others by the mask only, so the rows contain none.
        if config.pad_token_id is None:  # GPT-2 as published
            return ids.to(reference.device)
        other = 1 if config.pad_token_id == 0 else 0
        return ids.masked_fill(ids == config.pad_token_id, other).to(reference.device)

    choices = (1, 2) if "MultipleChoice" in type(reference).__name__ else (1,)
    arguments: dict[str, Any] = {}
    if ours.main_input_name == "input_features":
        frames = torch.randn(1, _FRAMES, config.num_mel_bins, generator=generator)
        arguments["input_features"] = frames.to(reference.device, reference.dtype)
        arguments["attention_mask"] = torch.ones(1, _FRAMES, dtype=torch.long, device=reference.device)
    else:
        arguments["input_ids"] = tokens(*choices, length)
        arguments["attention_mask"] = torch.ones_like(arguments["input_ids"])
    if config.is_encoder_decoder:
        arguments["decoder_input_ids"] = tokens(1, min(length, 12))
        # With a cache, FSMT does not mask later tokens of the decoder input.
        arguments["use_cache"] = False
    return arguments
