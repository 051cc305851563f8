"""BPE dropout (Provilkov et al. 2020): merges are left out at random, so that a word is seen in many segmentations."""

from collections.abc import Iterator
from contextlib import contextmanager

from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast


@contextmanager
def bpe_dropout(tokenizer: PreTrainedTokenizerFast, p: float) -> Iterator[PreTrainedTokenizerFast]:
    """Leave out each merge with probability `p` while the context is open, and never after it.

    Training tokenises inside the context, once an epoch; evaluation and generation tokenise outside of it. The
    probability is not part of the saved tokenizer: `tokenizer.json` written after the context has none. The randomness
    is that of the `tokenizers` library, which cannot be seeded.

    Args:
        tokenizer: a tokenizer whose model is BPE, byte-level or not.
        p: probability in [0, 1); 0 changes nothing. The paper recommends 0.1.

    Yields:
        The same tokenizer.

    Raises:
        ValueError: `p` is out of range or the tokenizer is not a BPE.
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
