"""When a hypothesis ends: the stopping criteria of `generate`, of which the common ones need no tensors."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from transformers import EosTokenCriteria, MaxLengthCriteria, MaxTimeCriteria, StoppingCriteriaList, StopStringCriteria

from .length_penalty import SourceLengthLimit


class Stopping:
    """The stopping criteria of one call of `generate`.

    Attributes:
        end_tokens: tokens that end a hypothesis.
        fills_with_padding: whether transformers' loop fills rows that have ended with padding while others go on.
        max_length: the length, with prompt, at which every hypothesis ends.
        judges_rows_alone: whether each criterion judges a sequence by its tokens alone, so that other rows may leave.

    Args:
        criteria: as transformers prepares them.
        rows: number of rows that are searched.
        limits: the length, with prompt, at which the hypotheses of each row end, in place of the `max_length` of all.
    """

    def __init__(self, criteria: StoppingCriteriaList, rows: int, limits: Sequence[float] | None = None) -> None:
        self.end_tokens: frozenset[int] = frozenset()
        self.fills_with_padding = any(hasattr(criterion, "eos_token_id") for criterion in criteria)
        self.max_length: float = math.inf
        self.judges_rows_alone = True
        self._has_own_limits = limits is not None
        self._limits: list[float] = [math.inf] * rows if limits is None else list(limits)
        self._lengths: list[MaxLengthCriteria] = []
        self._times: list[MaxTimeCriteria] = []
        self._others = StoppingCriteriaList()
        for criterion in criteria:
            if type(criterion) is EosTokenCriteria:
                self.end_tokens |= set(criterion.eos_token_id.tolist())
            elif type(criterion) is MaxLengthCriteria:
                self._lengths.append(criterion)
                if limits is not None:
                    continue
                self.max_length = min(self.max_length, criterion.max_length)
            elif type(criterion) is MaxTimeCriteria:
                self._times.append(criterion)
            elif type(criterion) is SourceLengthLimit and rows % len(criterion.limits) == 0:
                limits = criterion.limits.repeat_interleave(rows // len(criterion.limits)) + 1  # with the start token
                self._limits = list(map(min, self._limits, limits.tolist()))
            else:
                self._others.append(criterion)
                self.judges_rows_alone &= type(criterion) is StopStringCriteria

    @property
    def needs_sequences(self) -> bool:
        """Whether `by_sequences` has to be called with all tokens."""
        return bool(self._others)

    def limit(self, row: int) -> float:
        """The length, with prompt, at which the hypotheses of a row end."""
        return min(self.max_length, self._limits[row])

    def greatest_length(self, row: int) -> float:
        """The length, with prompt, that the search expects of the longest hypothesis of a row."""
        return self._limits[row] if self._has_own_limits else self.max_length

    def out_of_time(self) -> bool:
        """Whether all hypotheses end now."""
        return any(time.time() - criterion.initial_timestamp > criterion.max_time for criterion in self._times)

    def by_sequences(self, sequences: torch.Tensor, scores: tuple[torch.Tensor, ...] | None) -> list[bool]:
        """Whether each of the sequences (sequences, length) ends by one of the other criteria."""
        return self._others(sequences, scores).tolist()

    def note_length(self, length: int) -> None:
        """Let transformers warn once that a sequence is longer than the model was made for."""
        for criterion in self._lengths:
            if criterion.max_position_embeddings is not None and length > criterion.max_position_embeddings:
                criterion(torch.empty(0, length), None)
