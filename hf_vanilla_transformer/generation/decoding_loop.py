"""The decoding loop of the package, which serves `generate` of our models: what it takes, and what it returns."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.generation.utils import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
)

from .beam_search import BeamBatch, search_beams
from .decoding_options import judges_rows_alone, only_exclude_tokens, reason_against_options
from .flat_decoder import flat_decoder
from .plain_model import reason_against
from .row_search import RowBatch, search_rows
from .search_request import SearchRequest
from .stopping import Stopping

logger = logging.getLogger(__name__)

SWITCH = "HF_VANILLA_DECODING_LOOP"
_switched_off: ContextVar[bool] = ContextVar("switched_off", default=False)


@contextmanager
def transformers_decoding_loop() -> Iterator[None]:
    """A context in which `generate` of our models runs transformers' own loop."""
    token = _switched_off.set(True)
    try:
        yield
    finally:
        _switched_off.reset(token)


def decode(
    model: PreTrainedModel,
    method: str,
    input_ids: torch.Tensor,
    *,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    synced_gpus: bool = False,
    streamer: Any = None,
    tokenizer: Any = None,
    **model_kwargs: Any,
) -> Any:
    """Serves a call of `generate`; see `register_decoding_loop`.

    Args:
        model: the model.
        method: the method of transformers that would serve the call, ``_sample`` or ``_beam_search``.
        input_ids: (rows · beams or samples, length), the prompts.
        logits_processor: all processors of logits, as transformers prepares them.
        stopping_criteria: all stopping criteria, likewise.
        generation_config: the complete configuration.
        synced_gpus: whether several processes decode in step.
        streamer: gets each token.
        tokenizer: not used; the stopping criteria hold it for stop strings.
        **model_kwargs: the inputs of the model, likewise.

    Returns:
        What `generate` returns, or None for what this loop does not know, which transformers' loop serves.
    """
    reason = (
        reason_against_switch()
        or reason_against_options(method, generation_config)
        or _reason_against_inputs(input_ids, model_kwargs, synced_gpus)
        or reason_against(model)
    )
    if reason is None:
        request, repeats = _request(
            model, method, input_ids, logits_processor, stopping_criteria, generation_config, streamer, model_kwargs
        )
        ends = request.end_token_count
        needed = max(2, 1 + ends) * generation_config.num_beams if method == "_beam_search" else 1
        if needed > request.decoder.vocab_size:
            reason = f"{needed} candidates are more than the vocabulary"
    if reason is not None:
        logger.debug("transformers' decoding loop serves generate: %s.", reason)
        return None
    if method == "_beam_search":
        return _beam_output(request, search_beams(request))
    return _row_output(request, search_rows(request, repeats))


def reason_against_switch() -> str | None:
    """Why the loop is not used at all, or None if it is.

    Raises:
        ValueError: the environment variable has another value than ``own`` and ``transformers``.
    """
    if _switched_off.get():
        return "the loop is switched off"
    choice = os.environ.get(SWITCH, "own")
    if choice not in ("own", "transformers"):
        raise ValueError(f"{SWITCH} must be 'own' or 'transformers', not {choice!r}.")
    return None if choice == "own" else f"{SWITCH}=transformers"


# Inputs of the model that the loop reads.
_KNOWN_INPUTS = {
    "attention_mask",
    "decoder_attention_mask",
    "encoder_outputs",
    "logits_to_keep",
    "past_key_values",
    "position_ids",
    "use_cache",
}


def _reason_against_inputs(input_ids: torch.Tensor, inputs: dict[str, Any], synced_gpus: bool) -> str | None:
    given = {name: value for name, value in inputs.items() if value is not None}
    if unknown := sorted(given.keys() - _KNOWN_INPUTS):
        return f"generate got {', '.join(unknown)}"
    if synced_gpus:
        return "several processes decode in step"
    if input_ids.device.type != "cpu" or not input_ids.numel():
        return "the prompts are not on CPU, or empty"
    cache = given.get("past_key_values")
    if not _is_new_cache(cache):
        return "a cache is given"
    if given.get("logits_to_keep", 1) != 1:
        return "logits_to_keep is given"
    for name in ("attention_mask", "decoder_attention_mask"):
        mask = given.get(name)
        if mask is not None and (mask.dim() != 2 or not bool((mask != 0).any(1).all())):
            return f"{name} is not a mask of tokens, or hides a row"
    return None


def _is_new_cache(cache: Cache | None) -> bool:
    if getattr(cache, "_is_user_defined", False):
        return False
    if type(cache) is EncoderDecoderCache:
        return type(cache.self_attention_cache) is DynamicCache and type(cache.cross_attention_cache) is DynamicCache
    return type(cache) is DynamicCache


def _request(
    model: PreTrainedModel,
    method: str,
    input_ids: torch.Tensor,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    config: GenerationConfig,
    streamer: Any,
    inputs: dict[str, Any],
) -> tuple[SearchRequest, int]:
    """The request, and how many sequences of each prompt `generate` has made."""
    repeats = max(config.num_beams, config.num_return_sequences)
    prompts = input_ids[::repeats]
    source = source_mask = None
    if model.config.is_encoder_decoder:
        source = inputs["encoder_outputs"][0][::repeats]
        source_mask = _every(inputs.get("attention_mask"), repeats)
        mask = _every(inputs.get("decoder_attention_mask"), repeats)
    else:
        mask = _every(inputs.get("attention_mask"), repeats)
    if mask is not None and bool((mask != 0).all()):
        mask = None
    rows = len(prompts) if method == "_beam_search" else len(input_ids)
    stopping = Stopping(criteria, rows)
    outputs_all = config.return_dict_in_generate
    rows_stay = (
        bool(outputs_all)
        or not stopping.judges_rows_alone
        or not judges_rows_alone(processors)
        or (method == "_sample" and not stopping.fills_with_padding)
    )
    request = SearchRequest(
        decoder=flat_decoder(model),
        prompts=prompts,
        positions=_positions(model, prompts, mask, _every(inputs.get("position_ids"), repeats)),
        prompt_mask=mask,
        source=source,
        source_mask=source_mask,
        first_processors=processors,
        processors=processors,
        stopping=stopping,
        config=config,
        streamer=streamer,
        rows_stay=rows_stay,
        scores_only_fall=not rows_stay and only_exclude_tokens(processors),
        cache=inputs["past_key_values"] if outputs_all else None,
    )
    return request, repeats


def _every(tensor: torch.Tensor | None, repeats: int) -> torch.Tensor | None:
    """One row of each prompt; `generate` repeats rows for beams and samples."""
    return tensor if tensor is None or len(tensor) == 1 else tensor[::repeats]


def _positions(
    model: PreTrainedModel, prompts: torch.Tensor, mask: torch.Tensor | None, given: torch.Tensor | None
) -> torch.Tensor:
    """(rows or 1, length), as `VanillaStack.default_positions` has them."""
    if given is not None:
        return given[:, -prompts.shape[1] :]
    if mask is not None and model.config.positions_from_mask:
        return ((mask != 0).long().cumsum(-1) - 1).clamp(min=0)
    return torch.arange(prompts.shape[1])[None]


def _row_output(request: SearchRequest, batch: RowBatch) -> Any:
    config = request.config
    sequences = batch.sequences()
    if not config.return_dict_in_generate:
        return sequences
    kind = GenerateDecoderOnlyOutput if request.source is None else GenerateEncoderDecoderOutput
    return kind(
        sequences=sequences,
        scores=tuple(batch.scores) if config.output_scores else None,
        logits=tuple(batch.logits) if config.output_logits else None,
        past_key_values=request.cache,
    )


def _beam_output(request: SearchRequest, batch: BeamBatch) -> Any:
    config, searches = request.config, batch.searches
    returned = config.num_return_sequences
    paths = [search.path(rank) for search in searches for rank in range(returned)]
    width = max(len(tokens) for tokens, _ in paths)
    padding, ends = config._pad_token_tensor, config._eos_token_tensor
    # As in transformers, where a padding token 0 counts as none.
    fill = int(padding or ends[0]) if ends is not None else -1
    new = torch.tensor([tokens + [fill] * (width - len(tokens)) for tokens, _ in paths])
    sequences = torch.cat([request.prompts.repeat_interleave(returned, 0), new], dim=1)
    if not config.return_dict_in_generate:
        return sequences
    scores = [search.finished[rank][0] for search in searches for rank in range(returned)]
    indices = [
        [number // returned * config.num_beams + beam for beam in beams] + [-1] * (width - len(beams))
        for number, (_, beams) in enumerate(paths)
    ]
    kind = GenerateBeamDecoderOnlyOutput if request.source is None else GenerateBeamEncoderDecoderOutput
    return kind(
        sequences=sequences,
        sequences_scores=torch.tensor(scores) if config.output_scores else None,
        scores=tuple(batch.scores) if config.output_scores else None,
        logits=tuple(batch.logits) if config.output_logits else None,
        beam_indices=torch.tensor(indices, dtype=torch.int32),
        past_key_values=request.cache,
    )
