"""The two rules of the paper's beam search that transformers lacks, as things that its own `generate` takes.

Section 6.1: "beam size of 4 and length penalty α = 0.6", "maximum output length during inference to input length + 50".
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import StoppingCriteria


class GoogleLengthPenalty(float):
    """The length penalty of GNMT (Wu et al. 2016, Eq. 14), which the paper uses: ((5 + |Y|) / (5 + 1))^α.

    transformers divides a hypothesis' log probability by ``length ** length_penalty``, both where it ranks finished
    hypotheses and where it decides whether a running one can still win. This number changes what ``length ** α`` means,
    so both follow the paper: pass ``length_penalty=GoogleLengthPenalty(0.6)`` to `generate`. |Y| counts the end mark.

    It stays a number for everything else; in a saved generation config it is the bare α.
    """

    def __rpow__(self, length: Any, modulo: None = None) -> Any:
        return ((5 + length) / 6) ** float(self)

    def __deepcopy__(self, memo: dict) -> GoogleLengthPenalty:
        return self


class SourceLengthLimit(StoppingCriteria):
    """Ends each hypothesis at its own source's length plus a margin, not at the longest of the batch.

    Args:
        source_lengths: (batch,) tokens of each source, without padding.
        margin: how much longer an output may be; the paper's is 50.

    A hypothesis that reaches the limit is finished and ranked with the others, as at `max_length`.
    """

    def __init__(self, source_lengths: torch.Tensor, margin: int) -> None:
        self.limits = source_lengths + margin

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """(batch · hypotheses, length) ids so far, the decoder's start token first, to (batch · hypotheses,) bools."""
        limits = self.limits.to(input_ids.device)
        limits = limits.repeat_interleave(input_ids.shape[0] // limits.shape[0])
        return input_ids.shape[1] - 1 >= limits
