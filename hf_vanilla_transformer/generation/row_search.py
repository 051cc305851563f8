"""Greedy search and sampling: one sequence for each row, by the rules of `GenerationMixin._sample`."""

from __future__ import annotations

import torch

from .search_batch import SearchBatch
from .search_request import SearchRequest
from .top_tokens import best_token


class RowSearch:
    """The search for one sequence.

    Attributes:
        row: number of its prompt in the request, times samples.
        tokens: the new tokens.
        ended: whether the search is over.
    """

    def __init__(self, row: int, limit: float) -> None:
        self.row = row
        self.tokens: list[int] = []
        self.ended = False
        self._limit = limit

    def advance(self, token: int, stops: bool, end_tokens: frozenset[int]) -> None:
        """One more token; the search ends with it if it `stops`, at its limit, and at an end token."""
        self.tokens.append(token)
        if stops or len(self.tokens) >= self._limit or token in end_tokens:
            self.ended = True


class RowBatch(SearchBatch[RowSearch]):
    """Greedy search or sampling for several rows.

    Samples are those of transformers for the same seed: the same random numbers are drawn, those of rows that have
    ended included.

    Args:
        request: the prompts.
        samples: sequences for each prompt.
    """

    def __init__(self, request: SearchRequest, samples: int = 1) -> None:
        prompts, length = request.prompts.shape
        searches = [RowSearch(row, request.stopping.limit(row) - length) for row in range(prompts * samples)]
        self._padding = None if request.config._pad_token_tensor is None else int(request.config._pad_token_tensor)
        super().__init__(request, searches, beams=1)

    def sequences(self) -> torch.Tensor:
        """(rows · samples, length): prompts and new tokens, filled with padding."""
        prompts = self._request.prompts
        width = max(len(search.tokens) for search in self.searches)
        new = [search.tokens + [self._padding] * (width - len(search.tokens)) for search in self.searches]
        return torch.cat([prompts.repeat_interleave(len(new) // len(prompts), 0), torch.tensor(new)], dim=1)

    def _choose(self, states: torch.Tensor, is_first: bool) -> torch.Tensor:
        request, stopping, config = self._request, self._request.stopping, self._request.config
        logits = request.decoder.logits(states)
        scores = self._processed(logits.clone() if config.output_logits else logits, is_first)
        self._keep(logits, scores)
        chosen = self._drawn(scores) if config.do_sample else best_token(scores)
        values = chosen.tolist()
        if stopping.fills_with_padding and any(search.ended for search in self.live):
            values = [self._padding if search.ended else value for search, value in zip(self.live, values)]
            chosen = torch.tensor(values)
        self._length += 1
        stopping.note_length(self._length)
        if self._needs_ids:
            self._ids = torch.cat([self._ids, chosen[:, None]], dim=1)
        stops = [stopping.out_of_time()] * len(values)
        if stopping.needs_sequences:
            others = stopping.by_sequences(self._ids, tuple(self.scores) or None)
            stops = [stop or other for stop, other in zip(stops, others)]
        for search, value, stop in zip(self.live, values, stops):
            search.advance(value, stop, stopping.end_tokens)
        if request.streamer is not None:
            self._stream(values)
        return chosen

    def _drawn(self, scores: torch.Tensor) -> torch.Tensor:
        """One token of each row by its probabilities; (live, vocabulary) to (live,)."""
        probabilities = scores.softmax(-1)
        if len(self.live) == len(self.searches):
            return torch.multinomial(probabilities, 1)[:, 0]
        # Rows that have left take part, so that the others get the numbers that they would get beside them.
        places = torch.tensor([search.row for search in self.live])
        of_all = probabilities.new_ones(len(self.searches), probabilities.shape[1])
        of_all[places] = probabilities
        return torch.multinomial(of_all, 1)[:, 0].index_select(0, places)

    def _stream(self, values: list[int]) -> None:
        of_all = [self._padding] * len(self.searches)
        for search, value in zip(self.live, values):
            of_all[search.row] = value
        with torch.inference_mode(False):  # the streamer may keep the tensor
            self._request.streamer.put(torch.tensor(of_all))


@torch.no_grad()
def search_rows(request: SearchRequest, samples: int = 1) -> RowBatch:
    """Greedy search, or sampling if `do_sample` is set, for all rows of a request. Returns the batch at its end."""
    with request.mode():
        batch = RowBatch(request, samples)
        while not batch.is_over:
            batch.step()
        if request.streamer is not None:
            request.streamer.end()
        batch.fill_cache()
    return batch
