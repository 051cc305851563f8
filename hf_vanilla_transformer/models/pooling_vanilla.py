"""Pooling: from the states of all tokens to one vector per text, and texts in reverse order."""

import math

import torch
from torch import nn

# Number of vectors that each kind of pooling concatenates.
POOLED_VECTORS = {"first": 1, "last": 1, "mean": 1, "concat": 3}


def kept_tokens(
    input_ids: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None,
    pad_token_id: int | None,
) -> torch.Tensor:
    """Which tokens are not padding; (batch, length) of bool.

    Args:
        input_ids: (batch, length), or None where `inputs_embeds` is given.
        attention_mask: (batch, past + length); a mask with four dimensions is ignored.
        inputs_embeds: (batch, length, hidden).
        pad_token_id: marks padding if there is no mask.

    Raises:
        ValueError: there are several rows of ids, but neither a mask nor a padding token.
    """
    given = input_ids if input_ids is not None else inputs_embeds
    batch, length = given.shape[:2]
    if attention_mask is not None and attention_mask.dim() == 2:
        return attention_mask[:, -length:].bool().to(given.device)
    if input_ids is not None and pad_token_id is not None:
        return input_ids != pad_token_id
    if batch == 1 or input_ids is None:
        return torch.ones(batch, length, dtype=torch.bool, device=given.device)
    raise ValueError(
        f"attention_mask and config.pad_token_id are None, so the last token of each of the {batch} rows is unknown; "
        "pass attention_mask, or set pad_token_id."
    )


def pool(hidden_states: torch.Tensor, kept: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector per row, independent of padding on either side.

    Args:
        hidden_states: (batch, length, hidden).
        kept: (batch, length), which tokens are not padding. A row of padding only is pooled entirely.
        pooling: `last` token, `mean` of all, or `concat` of last, maximum and mean.

    Returns:
        (batch, hidden), for `concat` (batch, 3 · hidden).
    """
    kept = kept.to(hidden_states.device)
    parts = []
    if pooling in ("last", "concat"):
        columns = torch.arange(kept.shape[1], device=kept.device)
        last = (columns * kept).argmax(-1)
        # `len(last)` would be a constant in an exported graph.
        parts.append(hidden_states[torch.arange(last.shape[0], device=last.device), last])
    if pooling in ("mean", "concat"):
        kept = (kept | ~kept.any(-1, keepdim=True))[:, :, None]
        if pooling == "concat":
            parts.append(hidden_states.masked_fill(~kept, torch.finfo(hidden_states.dtype).min).amax(1))
        parts.append(hidden_states.masked_fill(~kept, 0.0).sum(1) / kept.sum(1))
    return torch.cat(parts, dim=-1)


def backward_order(kept: torch.Tensor, input_ids: torch.Tensor | None, fixed_ids: tuple[int, ...]) -> torch.Tensor:
    """The order of columns that reverses the text of each row. Padding and the tokens around the text stay in place.

    Args:
        kept: (batch, length), which tokens are not padding.
        input_ids: (batch, length); None if the ids are unknown.
        fixed_ids: the ids of the start and the end token.

    Returns:
        (batch, length): `ids.gather(1, order)` is the reversed text, and the same order reverses it again.
    """
    special = ~kept
    if input_ids is not None:
        for fixed in fixed_ids:
            special = special | (input_ids == fixed)
    ordinary = (~special).int()
    # Special tokens before the first ordinary token and after the last stay; those in between are reversed too.
    inside = (ordinary.cumsum(1) > 0) & (ordinary.flip(1).cumsum(1).flip(1) > 0)
    reversed_ = kept & inside
    columns = (~reversed_).int().argsort(dim=1, stable=True)  # the reversed columns, then the others
    rank = reversed_.int().cumsum(1) - 1
    mirrored = columns.gather(1, (reversed_.sum(1, keepdim=True) - 1 - rank).clamp(min=0))
    return torch.where(reversed_, mirrored, torch.arange(kept.shape[1], device=kept.device))


def mean_prediction(logits: torch.Tensor, others: torch.Tensor, problem_type: str | None) -> torch.Tensor:
    """The logits of the mean probabilities of two models, or the mean of their regressions; all (batch, labels).

    `problem_type` is that of the configuration. None means one of several classes, or regression for a single output.
    """
    if problem_type == "regression" or (problem_type is None and logits.shape[-1] == 1):
        return (logits + others) / 2
    both = torch.stack([logits, others]).to(torch.promote_types(logits.dtype, torch.float32))
    if problem_type == "multi_label_classification":
        # log of the mean of σ(x), minus log of the mean of 1 - σ(x)
        log_one = torch.logsumexp(nn.functional.logsigmoid(both), 0)
        log_none = torch.logsumexp(nn.functional.logsigmoid(-both), 0)
        return (log_one - log_none).to(logits.dtype)
    return (torch.logsumexp(both.log_softmax(-1), 0) - math.log(2)).to(logits.dtype)


__all__ = ["POOLED_VECTORS", "backward_order", "kept_tokens", "mean_prediction", "pool"]
