"""From the states of a text's tokens to one vector that a classifier reads, and texts read from their end."""

import math

import torch
from torch import nn

# How many vectors stand side by side in what the classifier reads.
POOLED_VECTORS = {"first": 1, "last": 1, "mean": 1, "concat": 3}


def kept_tokens(
    input_ids: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None,
    pad_token_id: int | None,
) -> torch.Tensor:
    """Which tokens are no padding; (batch, length) of bool.

    Args:
        input_ids: (batch, length), or None where `inputs_embeds` is given.
        attention_mask: (batch, past + length); one with four dimensions does not say it.
        inputs_embeds: (batch, length, hidden).
        pad_token_id: tells padding where there is no mask.

    Raises:
        ValueError: several rows of ids, and nothing that says where each ends.
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
        f"Which token is the last of each of the {batch} rows? Pass attention_mask, or set config.pad_token_id "
        "(it is None)."
    )


def pool(hidden_states: torch.Tensor, kept: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector a row, in which padding has no part, wherever it is.

    Args:
        hidden_states: (batch, length, hidden).
        kept: (batch, length), which tokens count. A row without any is pooled whole.
        pooling: `last` token, `mean` of all, or `concat` of last, maximum and mean.

    Returns:
        (batch, hidden), for `concat` (batch, 3 · hidden).
    """
    kept = kept.to(hidden_states.device)
    parts = []
    if pooling in ("last", "concat"):
        columns = torch.arange(kept.shape[1], device=kept.device)
        last = (columns * kept).argmax(-1)
        parts.append(hidden_states[torch.arange(len(last), device=last.device), last])
    if pooling in ("mean", "concat"):
        kept = (kept | ~kept.any(-1, keepdim=True))[:, :, None]
        if pooling == "concat":
            parts.append(hidden_states.masked_fill(~kept, torch.finfo(hidden_states.dtype).min).amax(1))
        parts.append(hidden_states.masked_fill(~kept, 0.0).sum(1) / kept.sum(1))
    return torch.cat(parts, dim=-1)


def backward_order(kept: torch.Tensor, input_ids: torch.Tensor | None, fixed_ids: tuple[int, ...]) -> torch.Tensor:
    """The columns in which each row is read from its end; padding and the marks around the text stay in their places.

    Args:
        kept: (batch, length), which tokens are no padding.
        input_ids: (batch, length); None where nobody knows which tokens are marks.
        fixed_ids: the start and the end mark.

    Returns:
        (batch, length): `ids.gather(1, order)` is the text backwards, and the order turns it round again.
    """
    mark = ~kept
    if input_ids is not None:
        for fixed in fixed_ids:
            mark = mark | (input_ids == fixed)
    words = (~mark).int()
    # Marks before the first word and behind the last; those between two words are turned with them.
    inside = (words.cumsum(1) > 0) & (words.flip(1).cumsum(1).flip(1) > 0)
    turned = kept & inside
    places = (~turned).int().argsort(dim=1, stable=True)  # the columns that are turned, then the others
    rank = turned.int().cumsum(1) - 1
    mirrored = places.gather(1, (turned.sum(1, keepdim=True) - 1 - rank).clamp(min=0))
    return torch.where(turned, mirrored, torch.arange(kept.shape[1], device=kept.device))


def mean_prediction(logits: torch.Tensor, others: torch.Tensor, problem_type: str | None) -> torch.Tensor:
    """Logits of the mean of two models' probabilities; of numbers, their mean. All (batch, labels).

    `problem_type` is that of the configuration; None is one of several classes, or a number where there is one output.
    """
    if problem_type == "regression" or (problem_type is None and logits.shape[-1] == 1):
        return (logits + others) / 2
    both = torch.stack([logits, others]).float()
    if problem_type == "multi_label_classification":
        # log of the mean of σ(x), less log of the mean of 1 - σ(x)
        log_one = torch.logsumexp(nn.functional.logsigmoid(both), 0)
        log_none = torch.logsumexp(nn.functional.logsigmoid(-both), 0)
        return (log_one - log_none).to(logits.dtype)
    return (torch.logsumexp(both.log_softmax(-1), 0) - math.log(2)).to(logits.dtype)


__all__ = ["POOLED_VECTORS", "backward_order", "kept_tokens", "mean_prediction", "pool"]
