"""Which options of `generate` the decoding loop of the package serves, and which it leaves to transformers' loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation import logits_process


def _any(value: Any) -> bool:
    return True


def _unset(value: Any) -> bool:
    return not value


# For each field of GenerationConfig, which of its values the loop serves. Most fields make processors of logits or
# stopping criteria, or choose another method of transformers.
SERVED: dict[str, Callable[[Any], bool]] = {
    # lengths and ends
    **dict.fromkeys(["max_length", "max_new_tokens", "min_length", "min_new_tokens", "max_time", "stop_strings"], _any),
    # the search
    **dict.fromkeys(["do_sample", "num_beams", "early_stopping", "length_penalty", "num_return_sequences"], _any),
    "low_memory": _unset,
    # processors of logits
    **dict.fromkeys(
        [
            "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
            "repetition_penalty", "encoder_repetition_penalty", "no_repeat_ngram_size",
            "encoder_no_repeat_ngram_size", "bad_words_ids", "renormalize_logits", "forced_bos_token_id",
            "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
            "begin_suppress_tokens", "sequence_bias", "watermarking_config",
        ],
        _any,
    ),
    "token_healing": _unset,  # changes the length of the prompts after their positions are prepared
    "guidance_scale": lambda value: value is None or value == 1,  # a second pass of the model
    # outputs
    **dict.fromkeys(["output_scores", "output_logits", "return_dict_in_generate"], _any),
    **dict.fromkeys(["output_attentions", "output_hidden_states"], _unset),
    # tokens
    **dict.fromkeys(["pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"], _any),
    # the cache
    "use_cache": lambda value: value is not False,
    "cache_implementation": lambda value: value in (None, "dynamic"),
    "cache_config": _unset,
    "max_cache_len": _unset,
    "prefill_chunk_size": _unset,
    # compilation
    "compile_config": _unset,
    "disable_compile": _any,
    # assisted decoding has its own method; an assistant counts its steps
    "is_assistant": _unset,
    "use_mtp": _unset,
    **dict.fromkeys(
        [
            "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
            "max_matching_ngram_size", "assistant_lookbehind", "target_lookbehind", "assistant_ensemble_weight",
        ],
        _any,
    ),
    **dict.fromkeys(["prompt_lookup_num_tokens", "assistant_early_exit", "speculation_type"], _unset),
    # other methods of search, which transformers loads from the Hub
    **dict.fromkeys(["penalty_alpha", "dola_layers", "constraints", "force_words_ids"], _unset),
    "num_beam_groups": lambda value: value in (None, 1),
    "diversity_penalty": _unset,
    # serving
    "continuous_batching_config": _any,
    # records of transformers
    **dict.fromkeys(["_from_model_config", "transformers_version"], _any),
}  # fmt: skip

# Processors that judge a row by its tokens and scores alone, so that other rows may leave the batch before it.
_ROW_PROCESSORS = {
    getattr(logits_process, name)
    for name in (
        "EpsilonLogitsWarper", "EtaLogitsWarper", "ExponentialDecayLengthPenalty", "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor", "InfNanRemoveLogitsProcessor", "LogitNormalization",
        "MinLengthLogitsProcessor", "MinNewTokensLengthLogitsProcessor", "MinPLogitsWarper",
        "NoBadWordsLogitsProcessor", "NoRepeatNGramLogitsProcessor", "SequenceBiasLogitsProcessor",
        "SuppressTokensAtBeginLogitsProcessor", "SuppressTokensLogitsProcessor", "TemperatureLogitsWarper",
        "TopHLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper", "TypicalLogitsWarper",
    )
    if hasattr(logits_process, name)
}  # fmt: skip


# Those that only exclude tokens, or force one.
_EXCLUDING = {
    logits_process.ForcedBOSTokenLogitsProcessor,
    logits_process.ForcedEOSTokenLogitsProcessor,
    logits_process.MinLengthLogitsProcessor,
    logits_process.MinNewTokensLengthLogitsProcessor,
    logits_process.NoBadWordsLogitsProcessor,
    logits_process.NoRepeatNGramLogitsProcessor,
    logits_process.SuppressTokensAtBeginLogitsProcessor,
    logits_process.SuppressTokensLogitsProcessor,
}


def reason_against_options(method: str, config: GenerationConfig) -> str | None:
    """Why the loop does not serve this configuration, or None if it does.

    Args:
        method: the method of transformers that would serve the call, ``_sample`` or ``_beam_search``.
        config: the complete configuration.
    """
    for name, value in vars(config).items():
        serves = SERVED.get(name, _unset if not name.startswith("_") else _any)  # transformers keeps tensors in _names
        if not serves(value):
            return f"{name}={value!r}"
    if method == "_beam_search" and config.do_sample:
        return "beams are sampled"
    return None


def judges_rows_alone(processors: LogitsProcessorList) -> bool:
    """Whether each processor judges a row alone."""
    return all(_judges_rows_alone(processor) for processor in processors)


def only_exclude_tokens(processors: LogitsProcessorList) -> bool:
    """Whether log-probabilities are at most 0 after all processors, as they are before."""
    return all(type(processor) in _EXCLUDING for processor in processors)


def judge_first_token_only(processors: LogitsProcessorList) -> bool:
    """Whether each processor changes the scores of the first new token only, after a prompt of one token."""
    return all(
        type(processor) is logits_process.ForcedBOSTokenLogitsProcessor
        or (type(processor) is logits_process.SuppressTokensAtBeginLogitsProcessor and processor.begin_index == 1)
        for processor in processors
    )


def _judges_rows_alone(processor: Any) -> bool:
    if type(processor) is logits_process.RepetitionPenaltyLogitsProcessor:
        return not hasattr(processor.prompt_ignore_length, "shape")
    return type(processor) in _ROW_PROCESSORS
