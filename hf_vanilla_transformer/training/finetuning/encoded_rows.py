"""Rows of token ids: how long they may be, and how they go through a model in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from ...evaluation_mode import evaluation_mode
from ...progress import progress_bar
from ..recipes.finetuning_recipe import TextLengthRecipe
from .base_model import BaseModel


def longest_row(text_length: TextLengthRecipe, base_model: BaseModel) -> int:
    """The length in tokens, special tokens included, that a row may have.

    Raises:
        ValueError: the recipe asks for more tokens than the model has learned positions.
    """
    config = base_model.config
    limit = text_length.max_tokens
    if limit is None:
        return config.max_position_embeddings
    if config.position_embedding_type == "learned" and limit > config.max_position_embeddings:
        raise ValueError(
            f"text_length.max_tokens={limit} is more than the base model {base_model.source} has positions for "
            f"({config.max_position_embeddings}); lower it, or read in windows: text_length.too_long: window."
        )
    return limit


def refuse_windows(text_length: TextLengthRecipe, task: str) -> None:
    """Raises ValueError for a task in which the windows of a long text cannot vote, if the recipe asks for them."""
    if text_length.too_long == "window":
        raise ValueError(
            f"text_length.too_long: window is for tasks whose windows can vote; {task} takes truncate or refuse."
        )


@torch.inference_mode()
def outputs_by_length(
    model: PreTrainedModel,
    rows: Sequence[dict[str, Any]],
    lengths: Sequence[int],
    collate: Callable[[list[dict[str, Any]]], dict[str, Any]],
    *,
    batch_size: int,
    progress: bool = True,
    call: Callable[..., Any] | None = None,
) -> Iterator[tuple[list[int], Any]]:
    """Runs the model on batches of rows of like length; yields the numbers of a batch's rows and its outputs.

    Args:
        model: in evaluation mode during the call.
        rows: encoded; with labels only if the loss of a batch is needed.
        lengths: tokens of each row. The longest rows come first, so that a lack of memory shows at once.
        collate: makes a batch.
        batch_size: rows of a batch.
        progress: show a bar on standard error, if that is a terminal.
        call: the method to call with a batch; the model itself if None.
    """
    order = sorted(range(len(rows)), key=lambda index: (-lengths[index], index))
    bar = progress_bar(total=len(order), unit="row", show=None if progress else False)
    with evaluation_mode(model), bar:
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = {name: value.to(model.device) for name, value in collate([rows[n] for n in numbers]).items()}
            yield numbers, (call or model)(**batch)
            bar.update(len(numbers))
