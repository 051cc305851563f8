"""Encoded rows: their maximal length, and running a model on them in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from ...evaluation_mode import evaluation_mode
from ...inference.flat_encoder import skipped_padding
from ...progress import progress_bar
from ..recipes.finetuning_recipe import TextLengthRecipe
from .base_model import BaseModel


def longest_row(text_length: TextLengthRecipe, base_model: BaseModel) -> int:
    """The maximal length of a row in tokens, including special tokens.

    Raises:
        ValueError: `text_length.max_tokens` exceeds the learned positions of the base model.
    """
    config = base_model.config
    limit = text_length.max_tokens
    if limit is None:
        return config.max_position_embeddings
    if config.position_embedding_type == "learned" and limit > config.max_position_embeddings:
        raise ValueError(
            f"text_length.max_tokens={limit} exceeds the {config.max_position_embeddings} positions of the base model "
            f"{base_model.source}; lower it, or read long texts in windows: text_length.too_long: window."
        )
    return limit


def refuse_windows(text_length: TextLengthRecipe, task: str) -> None:
    """Raises ValueError if the recipe asks for windows, for a task that cannot combine their predictions."""
    if text_length.too_long == "window":
        raise ValueError(f"text_length.too_long: window is not supported by task={task!r}; choose truncate or refuse.")


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
    """Runs the model on batches of rows of similar length; yields the row numbers of each batch and its outputs.

    Args:
        model: set to evaluation mode during the call.
        rows: encoded rows; with labels only if the loss of a batch is needed.
        lengths: tokens of each row. The longest rows come first, so that a lack of memory shows at once.
        collate: makes a batch.
        batch_size: rows per batch.
        progress: show a progress bar on standard error, if it is a terminal.
        call: the method to call with a batch; None calls the model itself.
    """
    order = sorted(range(len(rows)), key=lambda index: (-lengths[index], index))
    bar = progress_bar(total=len(order), unit="row", show=None if progress else False)
    with evaluation_mode(model), bar:
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = {name: value.to(model.device) for name, value in collate([rows[n] for n in numbers]).items()}
            with skipped_padding():  # no head reads it
                outputs = (call or model)(**batch)
            yield numbers, outputs
            bar.update(len(numbers))
