"""Decodes many sources in batches that stay full: finished sentences leave, waiting ones enter."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
)
from transformers.modeling_outputs import BaseModelOutput

from ..inference.flat_encoder import skipped_padding
from .beam_search import BeamBatch, BeamSearch
from .decoding_loop import reason_against_switch
from .decoding_options import judge_first_token_only, only_exclude_tokens, reason_against_options
from .flat_decoder import flat_decoder
from .length_penalty import SourceLengthLimit
from .plain_model import reason_against
from .row_search import RowBatch, RowSearch
from .search_batch import SearchBatch
from .search_request import SearchRequest
from .stopping import Stopping

# New sources enter when this part of the batch is free. Each entry costs a pass of the encoder.
_FREE_PART = 4


@dataclass(frozen=True)
class DecodedSource:
    """The best outputs of a source, best first.

    Attributes:
        number: place of the source in the sequence that was given.
        outputs: the ids of each output. Padding may follow its end token.
    """

    number: int
    outputs: list[list[int]]


@dataclass(frozen=True)
class QueueOptions:
    """What `generate` of a model makes of its generation config and of the caller's options.

    Attributes:
        config: the complete generation config.
        processors: the processors of logits, which look at the first new token only.
        criteria: the stopping criteria.
        start: (1, 1), the first input of the decoder.
    """

    config: GenerationConfig
    processors: LogitsProcessorList
    criteria: StoppingCriteriaList
    start: torch.Tensor


def decode_sources(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    tokens_per_batch: int | None = None,
    rows_per_batch: int | None = None,
    **options: Any,
) -> Iterator[list[DecodedSource]]:
    """Decodes sources, the longest first. Yields them as they are finished, some at a time.

    A model or an option that the decoding loop of this package does not serve goes to `generate`, batch by batch.

    Args:
        model: an encoder-decoder in evaluation mode.
        tokenizer: its tokenizer, for padding.
        sources: the ids of each source.
        limits: for each source, how many tokens its output may have.
        tokens_per_batch: source tokens of a batch, including padding.
        rows_per_batch: sources of a batch.
        **options: of `generate`, without a limit of the length.
    """
    if not sources:
        return
    options["max_new_tokens"] = max(limits)
    if (prepared := queue_options(model, **options)) is not None:
        yield from SourceQueue(model, prepared, sources, limits, tokens_per_batch, rows_per_batch).decode()
        return
    for numbers in sorted_batches(sources, tokens_per_batch, rows_per_batch):
        inputs = tokenizer.pad({"input_ids": [sources[number] for number in numbers]}, return_tensors="pt")
        of_batch = torch.tensor([limits[number] for number in numbers])
        outputs = model.generate(
            input_ids=inputs["input_ids"].to(model.device),
            attention_mask=inputs["attention_mask"].to(model.device),
            stopping_criteria=StoppingCriteriaList([SourceLengthLimit(of_batch, 0)]),
            **options | {"max_new_tokens": int(of_batch.max())},
        )
        outputs = outputs.view(len(numbers), -1, outputs.shape[1]).tolist()
        yield [DecodedSource(number, found) for number, found in zip(numbers, outputs)]


def sorted_batches(
    sources: Sequence[Sequence[int]], tokens_per_batch: int | None, rows_per_batch: int | None = None
) -> Iterator[list[int]]:
    """Numbers of sources of similar length, the longest first, so that a lack of memory shows in the first batch."""
    waiting = _longest_first(sources)
    while waiting:
        room = _room(len(sources[waiting[0]]), tokens_per_batch, rows_per_batch)
        yield waiting[:room]
        waiting = waiting[room:]


def _longest_first(sources: Sequence[Sequence[int]]) -> list[int]:
    return sorted(range(len(sources)), key=lambda number: (-len(sources[number]), number))


def _room(longest: int, tokens_per_batch: int | None, rows_per_batch: int | None) -> int:
    """How many sources up to this length a batch has."""
    by_tokens = tokens_per_batch // longest if tokens_per_batch is not None else sys.maxsize
    return max(1, min(by_tokens, rows_per_batch or sys.maxsize))


def queue_options(model: PreTrainedModel, **options: Any) -> QueueOptions | None:
    """The options of the queue, or None if the sources of this call have to go through `generate`.

    Args:
        model: an encoder-decoder in evaluation mode.
        **options: those of `generate`.
    """
    if reason_against_switch() or not model.config.is_encoder_decoder or reason_against(model):
        return None
    # transformers takes longer for the preparation than a small model for a sentence.
    given = {name: (type(value), value) for name, value in options.items()}
    settings = vars(model.generation_config)
    known = _prepared.get(model)
    if known is None or known[0] != given or known[1] != settings:
        known = given, copy.deepcopy(settings), _prepare(model, options)
        _prepared[model] = known
    return known[2]


# The options of the last call for each model, its generation config then, and the result.
_prepared: WeakKeyDictionary[PreTrainedModel, tuple[dict[str, Any], dict[str, Any], QueueOptions | None]]
_prepared = WeakKeyDictionary()


def _prepare(model: PreTrainedModel, options: dict[str, Any]) -> QueueOptions | None:
    """`queue_options` by `generate`, which prepares everything and then calls `keep` in place of a search."""
    if options.get("stop_strings") or model.generation_config.stop_strings:
        return None  # they need the tokenizer, which `generate` does not pass on to `keep`
    prepared: list[tuple[torch.Tensor, dict[str, Any]]] = []

    def keep(_: PreTrainedModel, input_ids: torch.Tensor, **arguments: Any) -> torch.Tensor:
        prepared.append((input_ids, arguments))
        return input_ids

    # The source is a stand-in.
    source = torch.zeros(1, 1, model.config.hidden_size, dtype=model.dtype)
    ids = torch.full((1, 1), model.config.pad_token_id or 0)
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        encoder_outputs=BaseModelOutput(last_hidden_state=source),
        custom_generate=keep,
        **options,
    )
    input_ids, arguments = prepared[0]
    config = arguments.pop("generation_config")
    processors, criteria = arguments.pop("logits_processor"), arguments.pop("stopping_criteria")
    expected = {"attention_mask", "encoder_outputs", "logits_to_keep", "past_key_values", "use_cache"}
    ends = config._eos_token_tensor
    candidates = max(2, 1 + (0 if ends is None else len(ends))) * config.num_beams
    if (
        {name for name, value in arguments.items() if value is not None} - expected
        or reason_against_options("_beam_search" if config.num_beams > 1 else "_sample", config)
        or config.do_sample
        or config.return_dict_in_generate
        or config.max_time is not None
        or not judge_first_token_only(processors)
        or Stopping(criteria, 1).needs_sequences
        or input_ids.shape[1] != 1
        or candidates > model.config.vocab_size
    ):
        return None
    return QueueOptions(config, processors, criteria, input_ids[:1])


class SourceQueue:
    """Decodes sources, the longest first.

    Args:
        model: an encoder-decoder in evaluation mode.
        options: from `queue_options`.
        sources: ids of each source.
        limits: for each source, how many tokens its output may have.
        tokens_per_batch: source tokens of a batch, including padding.
        rows_per_batch: sources of a batch.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        options: QueueOptions,
        sources: Sequence[Sequence[int]],
        limits: Sequence[int],
        tokens_per_batch: int | None = None,
        rows_per_batch: int | None = None,
    ) -> None:
        self._model = model
        self._decoder = flat_decoder(model)
        self._options = options
        self._sources = sources
        self._limits = limits
        self._tokens_per_batch = tokens_per_batch
        self._rows_per_batch = rows_per_batch
        self._waiting = _longest_first(sources)

    @torch.inference_mode()
    def decode(self) -> Iterator[list[DecodedSource]]:
        """Yields the sources as they are finished, some at a time."""
        batch: SearchBatch | None = None
        while self._waiting or batch is not None:
            if entering := self._entering(batch):
                self._waiting = self._waiting[len(entering) :]
                new = self._read(entering)
                searches = list(new.searches)
                if not new.is_over:
                    if batch is None:
                        batch = new
                    else:
                        batch.add(new)
            else:
                searches = list(batch.live)
                batch.step()
            if batch is not None and batch.is_over:
                batch = None
            if finished := [self._decoded(search) for search in searches if search.ended]:
                yield finished

    def _entering(self, batch: SearchBatch | None) -> list[int]:
        """The sources that enter now: none while most of the batch is busy."""
        if not self._waiting:
            return []
        in_batch = [] if batch is None else [search.row for search in batch.live]
        longest = max(len(self._sources[number]) for number in [self._waiting[0], *in_batch])
        room = _room(longest, self._tokens_per_batch, self._rows_per_batch)
        free = room - len(in_batch)
        return self._waiting[:free] if free >= max(1, room // _FREE_PART) or not in_batch else []

    def _read(self, numbers: list[int]) -> SearchBatch:
        """Encodes the sources and finds their first tokens."""
        options = self._options
        longest = max(len(self._sources[number]) for number in numbers)
        padding = self._model.config.pad_token_id or 0
        ids = torch.tensor([[*self._sources[one], *[padding] * (longest - len(self._sources[one]))] for one in numbers])
        lengths = torch.tensor([len(self._sources[number]) for number in numbers])
        mask = (torch.arange(longest) < lengths[:, None]).long()
        with skipped_padding():  # cross-attention does not see it
            source = self._model.get_encoder()(ids, attention_mask=mask)[0]
        limits = [1 + self._limits[number] for number in numbers]
        request = SearchRequest(
            decoder=self._decoder,
            prompts=options.start.expand(len(numbers), 1),
            positions=torch.zeros(1, 1, dtype=torch.long),
            prompt_mask=None,
            source=source,
            source_mask=mask,
            first_processors=options.processors,
            processors=LogitsProcessorList(),
            stopping=Stopping(options.criteria, len(numbers), limits),
            config=options.config,
            scores_only_fall=only_exclude_tokens(options.processors),
        )
        batch = BeamBatch(request) if options.config.num_beams > 1 else RowBatch(request)
        for search, number in zip(batch.searches, numbers):
            search.row = number
        return batch

    def _decoded(self, search: BeamSearch | RowSearch) -> DecodedSource:
        if isinstance(search, RowSearch):
            found = [search.tokens]
        else:
            ranks = range(self._options.config.num_return_sequences)
            found = [search.path(rank)[0] for rank in ranks]
        start = self._options.start[0].tolist()
        return DecodedSource(search.row, [start + tokens for tokens in found])
