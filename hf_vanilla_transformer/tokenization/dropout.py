"""BPE dropout (Provilkov et al. 2020): skips random merges, so that a word has many segmentations."""

from collections.abc import Iterator
from contextlib import contextmanager

from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast


@contextmanager
def bpe_dropout(tokenizer: PreTrainedTokenizerFast, p: float) -> Iterator[PreTrainedTokenizerFast]:
    """A context in which the tokenizer skips each merge with probability `p`.

    Training tokenizes inside of the context, once per epoch; evaluation and generation tokenize outside of it. A
    `tokenizer.json` that is saved after the context does not contain the probability. The random numbers come from the
    `tokenizers` library, which cannot be seeded.

    Args:
        tokenizer: a tokenizer whose model is BPE, byte-level or not.
        p: the probability in [0, 1); 0 has no effect. The paper recommends 0.1.

    Yields:
        The same tokenizer.

    Raises:
        ValueError: `p` is out of range, or the model of the tokenizer is not BPE.
    """
    if not 0.0 <= p < 1.0:
        raise ValueError(f"BPE dropout must be in [0, 1), but p={p!r}; the paper recommends 0.1.")
    model = tokenizer.backend_tokenizer.model
    if not isinstance(model, BPE):
        raise ValueError(
            f"BPE dropout needs a BPE tokenizer, but this one is a {type(model).__name__}; train one with "
            "kind='bpe' or kind='byte_bpe', or set the dropout to 0."
        )
    before = model.dropout
    model.dropout = p if p > 0 else None
    try:
        yield tokenizer
    finally:
        model.dropout = before
