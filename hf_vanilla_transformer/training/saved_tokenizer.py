"""Tokenizers as they are saved: without traces of how they were loaded and used in this process."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

# How the tokenizer was loaded, which a resumed run does from another place.
_ORIGIN = ("is_local", "local_files_only")


def remove_traces(tokenizer: PreTrainedTokenizerBase) -> None:
    """Removes what transformers would save with a tokenizer although it says nothing about it.

    These are the options with which it was loaded, and the length to which the last texts were truncated or padded. A
    call of the tokenizer sets its own.
    """
    for name in _ORIGIN:
        tokenizer.init_kwargs.pop(name, None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
