"""What greedy search, sampling and beam search have in common: rows that are searched together, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import torch

from .search_request import SearchRequest


class Search(Protocol):
    """The search for one row. `row` is its number in the request, `ended` whether it is over."""

    row: int
    ended: bool


SearchT = TypeVar("SearchT", bound=Search)


class SearchBatch(ABC, Generic[SearchT]):
    """Searches that are computed together. Reading the prompts is their first step.

    A search that is over leaves the batch, unless rows have to stay. Then the last one takes its place.

    Attributes:
        searches: the searches of the request, in the order of its rows.
        live: those that are computed, in the order of the batch.
        scores: for each step (rows · beams, vocabulary), the processed scores, if the request keeps them.
        logits: likewise, before the processors.

    Args:
        request: the prompts.
        searches: one for each row, or for each sample.
        beams: hypotheses of each search.
    """

    def __init__(self, request: SearchRequest, searches: list[SearchT], beams: int) -> None:
        self._request = request
        self._beams = beams
        self.searches = searches
        self.live = list(searches)
        self.scores: list[torch.Tensor] = []
        self.logits: list[torch.Tensor] = []
        prompts = request.prompts
        repeats = len(searches) // len(prompts) * beams
        self._length = prompts.shape[1]
        # Only what looks at all tokens needs them as a tensor, (rows · beams, length).
        self._needs_ids = bool(request.processors) or request.stopping.needs_sequences
        self._ids = prompts.repeat_interleave(repeats, 0) if request.first_processors or self._needs_ids else None
        positions = request.positions[:, -1]
        # One position for all, or (rows · beams,).
        self._positions: int | torch.Tensor = int(positions[0])
        if not bool((positions == positions[0]).all()):
            self._positions = positions.expand(len(prompts)).repeat_interleave(repeats)
        states, self._pool, self._source = request.read_prompts(beams)
        samples = len(searches) // len(prompts)
        if samples > 1:
            states = states.repeat_interleave(samples, 0)
            self._pool.repeat_rows(samples)
            if self._source is not None:
                self._source.repeat_rows(samples)
        self._after_choice(self._choose(states, is_first=True))

    def step(self) -> None:
        """One more token for each search."""
        states = self._request.decoder.step(self._next, self._positions, self._pool, self._source)
        self._after_choice(self._choose(states, is_first=False))

    @property
    def is_over(self) -> bool:
        """Whether all searches are over."""
        return all(search.ended for search in self.live)

    def add(self, other: SearchBatch[SearchT]) -> None:
        """Take over the searches of another batch, whose rules are the same and look at no tokens."""
        positions = []
        for batch in (self, other):
            rows = len(batch.live) * self._beams
            is_number = isinstance(batch._positions, int)
            positions.append(torch.full((rows,), batch._positions) if is_number else batch._positions)
        self._positions = torch.cat(positions)
        self._next = torch.cat([self._next, other._next])
        self._length = max(self._length, other._length)
        self._pool.add_rows(other._pool)
        if self._source is not None:
            self._source.add_rows(other._source)
        self.live += other.live

    def fill_cache(self) -> None:
        """Give the keys and values of all rows to the cache of the request."""
        self._request.fill_cache(self._pool, self._source)

    @abstractmethod
    def _choose(self, states: torch.Tensor, is_first: bool) -> torch.Tensor:
        """Choose the next tokens and let the searches know.

        Args:
            states: (rows · beams, hidden); at first (rows, hidden).
            is_first: whether the states are those of the prompts.

        Returns:
            The next tokens, (rows · beams,).
        """

    def _after_choice(self, chosen: torch.Tensor) -> None:
        self._next = chosen
        self._positions = self._positions + 1
        if not self._request.rows_stay:
            self._let_go([place for place, search in enumerate(self.live) if search.ended])

    def _processed(self, scores: torch.Tensor, is_first: bool) -> torch.Tensor:
        """The scores (rows · beams, vocabulary) after the processors, which may change them in place."""
        processors = self._request.first_processors if is_first else self._request.processors
        return processors(self._ids, scores) if processors else scores

    def _keep(self, logits: torch.Tensor, scores: torch.Tensor) -> None:
        """Keep what the output of `generate` is to hold."""
        config = self._request.config
        if config.return_dict_in_generate:
            self.logits += [logits] if config.output_logits else []
            self.scores += [scores] if config.output_scores else []

    def _let_go(self, leaving: list[int]) -> None:
        """The searches at these places leave the batch."""
        rows = len(self.live)
        if not leaving:
            return
        if len(leaving) == rows:
            self.live = []
            return
        moves, kept = moves_of_leaving(leaving, rows)
        self._pool.move_rows(moves, len(kept))
        if self._source is not None:
            self._source.move_rows(moves, len(kept))
        self.live = [self.live[place] for place in kept]
        order = torch.tensor(kept)
        self._next = self._of_rows(self._next, order)
        if not isinstance(self._positions, int):
            self._positions = self._of_rows(self._positions, order)
        if self._needs_ids:
            self._ids = self._of_rows(self._ids, order)

    def _of_rows(self, values: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The values (rows · beams, ...) of the rows `order`."""
        if self._beams == 1:
            return values.index_select(0, order)
        return values.unflatten(0, (-1, self._beams)).index_select(0, order).flatten(0, 1)


def moves_of_leaving(leaving: list[int], rows: int) -> tuple[list[tuple[int, int]], list[int]]:
    """How the last rows fill the places of those that leave.

    Args:
        leaving: places of the rows that leave, ascending.
        rows: number of rows before.

    Returns:
        Copies (from, to), and for each place afterwards the place before.
    """
    stay = rows - len(leaving)
    gone = set(leaving)
    last = [place for place in range(stay, rows) if place not in gone]
    holes = [place for place in leaving if place < stay]
    moves = list(zip(last, holes))
    kept = list(range(stay))
    for old, new in moves:
        kept[new] = old
    return moves, kept
