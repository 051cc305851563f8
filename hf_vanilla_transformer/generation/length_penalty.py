"""Two rules of the paper's beam search that transformers lacks, as arguments for its `generate`.

Section 6.1: "beam size of 4 and length penalty α = 0.6", "maximum output length during inference to input length + 50".
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import StoppingCriteria


class GoogleLengthPenalty(float):
    """The length penalty of GNMT (Wu et al. 2016, Eq. 14), which the paper uses: ((5 + |Y|) / (5 + 1))^α.

    transformers divides the log-probability of a hypothesis by ``length ** length_penalty``, both to rank finished
    hypotheses and to decide whether a running one can still win. This number redefines ``length ** α``, so both follow
    the paper: pass ``length_penalty=GoogleLengthPenalty(0.6)`` to `generate`. |Y| counts the end token.

    In all other respects it is the float α; a saved generation config contains α.
    """

    def __rpow__(self, length: Any, modulo: None = None) -> Any:
        return ((5 + length) / 6) ** float(self)

    def __deepcopy__(self, memo: dict) -> GoogleLengthPenalty:
        return self


class SourceLengthLimit(StoppingCriteria):
    """Ends each hypothesis at the length of its own source plus a margin, independent of the rest of the batch.

    Args:
        source_lengths: (batch,) number of tokens of each source, without padding.
        margin: how many tokens an output may be longer than its source; 50 in the paper.

    A hypothesis that reaches the limit counts as finished, as at `max_length`.
    """

    def __init__(self, source_lengths: torch.Tensor, margin: int) -> None:
        self.limits = source_lengths + margin

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Whether each hypothesis has reached its limit.

        Args:
            input_ids: (batch · hypotheses, length) ids so far, including the decoder's start token.
            scores: not used.

        Returns:
            (batch · hypotheses,) bools.
        """
        limits = self.limits.to(input_ids.device)
        limits = limits.repeat_interleave(input_ids.shape[0] // limits.shape[0])
        return input_ids.shape[1] - 1 >= limits
