"""Greedy search and sampling: one sequence for each row, by the rules of `GenerationMixin._sample`."""

from __future__ import annotations

import torch

from .rows import moves_of_leaving, one_or_all
from .search_request import SearchRequest
from .top_tokens import best_token


class RowBatch:
    """Greedy search or sampling for several rows, step by step.

    Samples are those of transformers for the same seed: the same random numbers are drawn, those of rows that have
    ended included. Reading the prompts is the first step.

    Attributes:
        tokens: the new tokens of each row of the request.
        scores: for each step (rows, vocabulary), the processed scores, if the request keeps them.
        logits: likewise, before the processors.

    Args:
        request: the prompts.
        samples: sequences for each prompt.
    """

    def __init__(self, request: SearchRequest, samples: int = 1) -> None:
        self._request = request
        self._ids = request.prompts.repeat_interleave(samples, 0) if samples > 1 else request.prompts
        self._rows, self._length = self._ids.shape
        self.tokens: list[list[int]] = [[] for _ in range(self._rows)]
        self.scores: list[torch.Tensor] = []
        self.logits: list[torch.Tensor] = []
        self._live = list(range(self._rows))
        self._ended = [False] * self._rows
        self._limits = [request.stopping.limit(row) for row in self._live]
        self._needs_ids = bool(request.processors) or request.stopping.needs_sequences
        padding = request.config._pad_token_tensor
        self._padding = None if padding is None else int(padding)
        self._positions = one_or_all(request.positions[:, -1], len(request.prompts), samples)
        states, self._pool, self._source = request.read_prompts(beams=1)
        if samples > 1:
            states = states.repeat_interleave(samples, 0)
            self._pool.repeat_rows(samples)
            if self._source is not None:
                self._source.repeat_rows(samples)
        self._choose(states)

    def step(self) -> None:
        """One more token for each row."""
        states = self._request.decoder.step(self._chosen, self._positions, self._pool, self._source)
        self._choose(states)

    @property
    def is_over(self) -> bool:
        """Whether all rows have ended."""
        return all(self._ended)

    def sequences(self, prompts: torch.Tensor) -> torch.Tensor:
        """(rows, length): prompts and new tokens, filled with padding."""
        width = max(map(len, self.tokens))
        new = [row + [self._padding] * (width - len(row)) for row in self.tokens]
        return torch.cat([prompts, torch.tensor(new)], dim=1)

    def _choose(self, states: torch.Tensor) -> None:
        """Choose the next tokens by the states (rows, hidden)."""
        request, stopping, config = self._request, self._request.stopping, self._request.config
        logits = request.decoder.logits(states)
        scores = logits
        if request.processors:
            scores = request.processors(self._ids, logits.clone() if config.output_logits else logits)
        if config.return_dict_in_generate:
            self.logits += [logits] if config.output_logits else []
            self.scores += [scores] if config.output_scores else []
        chosen = self._drawn(scores) if config.do_sample else best_token(scores)
        values = chosen.tolist()
        if stopping.fills_with_padding and request.rows_stay and any(self._ended):
            values = [self._padding if ended else value for value, ended in zip(values, self._ended)]
            chosen = torch.tensor(values)
        self._length += 1
        stopping.note_length(self._length)
        if self._needs_ids:
            self._ids = torch.cat([self._ids, chosen[:, None]], dim=1)
        stops = None
        if stopping.needs_sequences:
            stops = stopping.by_sequences(self._ids, tuple(self.scores) or None)
        all_stop = stopping.out_of_time()
        leaving = []
        for place, (row, value) in enumerate(zip(self._live, values)):
            self.tokens[row].append(value)
            if (
                all_stop
                or value in stopping.end_tokens
                or self._length >= self._limits[row]
                or (stops is not None and stops[place])
            ):
                self._ended[row] = True
                leaving.append(place)
        if request.streamer is not None:
            self._stream(values)
        self._chosen = chosen
        self._positions = self._positions + 1
        if leaving and not request.rows_stay and not self.is_over:
            self._let_go(leaving)

    def _drawn(self, scores: torch.Tensor) -> torch.Tensor:
        """One token of each row by its probabilities; (live, vocabulary) to (live,)."""
        probabilities = scores.softmax(-1)
        if len(self._live) == self._rows:
            return torch.multinomial(probabilities, 1)[:, 0]
        # Rows that have left take part, so that the others get the numbers that they would get beside them.
        places = torch.tensor(self._live)
        of_all = probabilities.new_ones(self._rows, probabilities.shape[1])
        of_all[places] = probabilities
        return torch.multinomial(of_all, 1)[:, 0].index_select(0, places)

    def _stream(self, values: list[int]) -> None:
        of_all = [self._padding] * self._rows
        for row, value in zip(self._live, values):
            of_all[row] = value
        with torch.inference_mode(False):  # the streamer may keep the tensor
            self._request.streamer.put(torch.tensor(of_all))

    def _let_go(self, leaving: list[int]) -> None:
        """Rows that have ended leave the batch."""
        moves, kept = moves_of_leaving(leaving, len(self._live))
        self._pool.move_rows(moves, len(kept))
        if self._source is not None:
            self._source.move_rows(moves, len(kept))
        self._live = [self._live[place] for place in kept]
        order = torch.tensor(kept)
        self._chosen = self._chosen.index_select(0, order)
        if self._needs_ids:
            self._ids = self._ids.index_select(0, order)
        if not isinstance(self._positions, int):
            self._positions = self._positions.index_select(0, order)

    def fill_cache(self) -> None:
        """Give the keys and values of all rows to the cache of the request."""
        self._request.fill_cache(self._pool, self._source)


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
