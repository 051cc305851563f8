"""Beam search: transformers' search, with the beams of a sentence on shared keys and values.

All rules are those of `GenerationMixin._beam_search`: candidates, length penalty, early stopping, what counts as
finished. Each sentence is searched alone here, and leaves as soon as nothing can change what is returned for it.
"""

from __future__ import annotations

import numpy as np
import torch

from .search_batch import SearchBatch
from .search_request import SearchRequest
from .top_tokens import top_tokens

# transformers' score of a hypothesis that is out of the race.
_OUT = -1.0e9


class BeamSearch:
    """The beam search for one source or prompt.

    Attributes:
        row: number of the prompt in the request.
        scores: the log-probability of each running hypothesis, best first.
        finished: the best finished hypotheses, best first: penalized score, number of tokens before the last, the beam
            that the last token continues, the last token.
        ended: whether the search is over.

    Args:
        request: the rules of the search.
        row: number of the prompt in the request.
    """

    def __init__(self, request: SearchRequest, row: int) -> None:
        config = request.config
        prompt_length = request.prompts.shape[1]
        self.row = row
        self._beams = config.num_beams
        self._length_penalty = config.length_penalty
        self._stops_when_full = config.early_stopping is True
        self._end_tokens = request.stopping.end_tokens
        self._limit = request.stopping.limit(row) - prompt_length
        # With "never", a hypothesis may become better until the greatest length.
        looks_ahead = config.early_stopping == "never" and config.length_penalty > 0.0
        self._best_length = request.stopping.greatest_length(row) - prompt_length if looks_ahead else None
        self._returned = config.num_return_sequences if request.scores_only_fall else self._beams
        self._improvable = True
        # For each step the beams that were continued, and the tokens that continued them.
        self._history: list[tuple[list[int], list[int]]] = []
        self.scores = [0.0] + [_OUT] * (self._beams - 1)
        self.finished: list[tuple[float, int, int, int]] = []
        self.ended = False

    @property
    def parents(self) -> list[int]:
        """The beams that the last step has continued."""
        return self._history[-1][0]

    @property
    def tokens(self) -> list[int]:
        """The tokens that continued them."""
        return self._history[-1][1]

    def advance(
        self, totals: list[float], parents: list[int], tokens: list[int], all_stop: bool, stops: list[bool] | None
    ) -> None:
        """One step.

        Args:
            totals: the log-probabilities of the candidates, best first.
            parents: the beam that each of them continues.
            tokens: its new token.
            all_stop: whether all candidates end here.
            stops: whether each candidate ends by a criterion besides length and end token; None if there is none.
        """
        beams, step = self._beams, len(self._history)
        all_stop = all_stop or step + 1 >= self._limit
        running: list[int] = []
        ending: list[int] = []
        for rank, token in enumerate(tokens):
            if all_stop or token in self._end_tokens or (stops is not None and stops[rank]):
                ending.append(rank)
            elif len(running) < beams:
                running.append(rank)
            elif rank >= beams:
                break
        is_full = len(self.finished) == beams
        if self._improvable and not (self._stops_when_full and is_full):
            penalty = np.float32((step + 1) ** self._length_penalty)
            # Candidates after the first `beams` are there only to go on.
            new = [
                (float(np.float32(totals[rank]) / penalty), step, parents[rank], tokens[rank])
                for rank in ending
                if rank < beams
            ]
            if new:
                self.finished = sorted(self.finished + new, key=lambda hypothesis: -hypothesis[0])[:beams]
                is_full = len(self.finished) == beams
        self.scores = [totals[rank] for rank in running]
        if len(running) < beams:
            # Without enough others, transformers goes on with hypotheses that have ended, out of the race.
            others = ending[: beams - len(running)]
            running += others
            self.scores += [float(np.float32(totals[rank]) + np.float32(_OUT)) for rank in others]
        self._history.append(([parents[rank] for rank in running], [tokens[rank] for rank in running]))
        length = self._best_length or step + 1
        best_possible = np.float32(self.scores[0]) / np.float32(length**self._length_penalty)
        worst_finished = self.finished[-1][0] if is_full else _OUT
        self._improvable = self._improvable and bool(best_possible > worst_finished)
        self.ended = (
            all_stop
            or not self._improvable
            or (self._stops_when_full and is_full)
            or (self._returned < self._beams and self._is_decided(step + 1))
        )

    def _is_decided(self, length: int) -> bool:
        """Whether the hypotheses that are returned cannot change any more, after `length` tokens.

        transformers goes on until the worst of its finished hypotheses is safe. It suffices that the worst of those
        that are returned is: log-probabilities only fall, so the best that can come is the best running score at the
        length that the penalty favours most.
        """
        if len(self.finished) < self._returned:
            return False
        best_length = self._limit if self._length_penalty > 0.0 else length + 1
        best_possible = np.float32(self.scores[0]) / np.float32(best_length**self._length_penalty)
        return bool(best_possible <= self.finished[self._returned - 1][0])

    def path(self, rank: int) -> tuple[list[int], list[int]]:
        """The new tokens of a finished hypothesis, 0 for the best, and the beam that each of them continues."""
        _, step, beam, token = self.finished[rank]
        tokens, beams = [token], [beam]
        for parents, chosen in reversed(self._history[:step]):
            tokens.append(chosen[beam])
            beam = parents[beam]
            beams.append(beam)
        return tokens[::-1], beams[::-1]


class BeamBatch(SearchBatch[BeamSearch]):
    """The beam searches for several rows.

    Args:
        request: the rows.
    """

    def __init__(self, request: SearchRequest) -> None:
        beams = request.config.num_beams
        self._candidates = max(2, 1 + request.end_token_count) * beams
        super().__init__(request, [BeamSearch(request, row) for row in range(len(request.prompts))], beams)

    def _choose(self, states: torch.Tensor, is_first: bool) -> torch.Tensor:
        totals, parents, tokens = self._best_candidates(states, is_first)
        stopping = self._request.stopping
        self._length += 1
        stopping.note_length(self._length)
        stops = self._stops(parents, tokens) if stopping.needs_sequences else None
        all_stop = stopping.out_of_time()
        count = self._candidates
        candidates = zip(totals.tolist(), parents.tolist(), tokens.tolist())
        for place, (search, of_search) in enumerate(zip(self.live, candidates)):
            own_stops = None if stops is None else stops[place * count : (place + 1) * count]
            search.advance(*of_search, all_stop, own_stops)
        continued = torch.tensor([search.parents for search in self.live])
        self._pool.continue_beams(continued)
        chosen = torch.tensor([search.tokens for search in self.live]).flatten()
        if self._needs_ids:
            ids = self._ids.view(len(self.live), self._beams, -1)
            ids = ids.gather(1, continued[:, :, None].expand(-1, -1, ids.shape[2])).flatten(0, 1)
            self._ids = torch.cat([ids, chosen[:, None]], dim=1)
        return chosen

    def _best_candidates(self, states: torch.Tensor, is_first: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-probabilities, beams and tokens of the best candidates of each search, each (rows, candidates)."""
        beams, count = self._beams, self._candidates
        logits = self._request.decoder.logits(states)
        log_probabilities = logits.log_softmax(-1)
        repeats = beams if is_first else 1
        if self._ids is not None or self._request.rows_stay:
            log_probabilities = log_probabilities.repeat_interleave(repeats, 0)
            log_probabilities = self._processed(log_probabilities, is_first)
            self._keep(logits.repeat_interleave(repeats, 0), log_probabilities)
            repeats = 1
        values, tokens = top_tokens(log_probabilities, count)
        if repeats > 1:
            values, tokens = values.repeat_interleave(repeats, 0), tokens.repeat_interleave(repeats, 0)
        rows = len(self.live)
        before = torch.tensor([search.scores for search in self.live])
        totals = values.view(rows, beams, count) + before[:, :, None]
        totals, places = totals.view(rows, -1).topk(count)
        return totals, places // count, tokens.view(rows, -1).gather(1, places)

    def _stops(self, parents: torch.Tensor, tokens: torch.Tensor) -> list[bool]:
        """Whether each candidate ends by a criterion that looks at its tokens."""
        ids = self._ids.view(len(self.live), self._beams, -1)
        sequences = ids.gather(1, parents[:, :, None].expand(-1, -1, ids.shape[2]))
        sequences = torch.cat([sequences, tokens[:, :, None]], dim=2).flatten(0, 1)
        return self._request.stopping.by_sequences(sequences, tuple(self.scores) or None)


@torch.no_grad()
def search_beams(request: SearchRequest) -> BeamBatch:
    """Beam search for all rows of a request. Returns the batch at its end."""
    with request.mode():
        batch = BeamBatch(request)
        while not batch.is_over:
            batch.step()
        batch.fill_cache()
    return batch
