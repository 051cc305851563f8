"""A page that follows one sentence through every sublayer of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..files import write_text
from .explanation_page import explanation_page
from .forward_trace import trace_forward


def explain(
    model: PreTrainedModel,
    text: str,
    path: str | Path = "explanation.html",
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    target: str | None = None,
    **generate_kwargs: Any,
) -> Path:
    """Writes a page that follows one sentence through every sublayer: shapes, norms and attention.

    The page is one HTML file without scripts or links, so it opens without a network. For the numbers themselves use
    `trace_forward` in this package.

    Args:
        model: an encoder-decoder, an encoder or a decoder of this package, with or without a head.
        text: a sentence of at most 64 tokens.
        path: the file to write.
        tokenizer: of the model; None to load it from where the model was loaded (`model.name_or_path`).
        target: of an encoder-decoder, the sentence that the decoder reads; None for the model's own answer.
        **generate_kwargs: for the model's own answer, such as `num_beams=4`.

    Returns:
        `path`.

    Raises:
        ValueError: as `trace_forward`, or the model was not loaded from anywhere and there is no `tokenizer`.
    """
    if tokenizer is None:
        if not model.name_or_path:
            raise ValueError("The model was not loaded from a folder or the Hub: give its tokenizer, tokenizer=...")
        tokenizer = AutoTokenizer.from_pretrained(model.name_or_path, trust_remote_code=False)
    trace = trace_forward(model, tokenizer, text, target, **generate_kwargs)
    write_text(path, explanation_page(trace))
    return Path(path)


__all__ = ["explain"]
