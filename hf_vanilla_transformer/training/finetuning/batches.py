"""Encoded rows through a model in evaluation mode: sorted by length, in batches, given back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from ...evaluation_mode import evaluation_mode
from ...progress import progress_bar


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
    """The numbers of the rows of each batch, and what the model gives for them.

    Args:
        model: put in evaluation mode for the time of the call.
        rows: encoded; without labels, unless the loss of a batch is wanted.
        lengths: tokens of each row. The longest rows come first, so that memory that does not suffice fails at once.
        collate: makes a batch.
        batch_size: rows of a batch.
        progress: show a bar on standard error, if that is a terminal.
        call: what is called with a batch; the model itself if None.
    """
    order = sorted(range(len(rows)), key=lambda index: (-lengths[index], index))
    bar = progress_bar(total=len(order), unit="row", show=None if progress else False)
    with evaluation_mode(model), bar:
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = {name: value.to(model.device) for name, value in collate([rows[n] for n in numbers]).items()}
            yield numbers, (call or model)(**batch)
            bar.update(len(numbers))
