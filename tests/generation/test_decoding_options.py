"""For every field of transformers' GenerationConfig, which decoding loop takes it."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import pytest
import torch
from transformers import CompileConfig, GenerationConfig, WatermarkingConfig

from hf_vanilla_transformer.generation import transformers_decoding_loop
from hf_vanilla_transformer.generation.decoding_options import SERVED

from ..tiny_models import tiny_model, tiny_tokenizer
from .loops import recorded_loops

Loop = Literal["own", "transformers"]

# A value of each field, and what serves `generate` with it, or refuses it. Fields about beams are tried with 2 beams,
# those about sampling with sampling.
FIELDS: dict[str, tuple[Any, Loop]] = {
    "max_length": (9, "own"),
    "max_new_tokens": (5, "own"),
    "min_length": (5, "own"),
    "min_new_tokens": (3, "own"),
    "early_stopping": ("never", "own"),
    "max_time": (60.0, "own"),
    "stop_strings": (["e"], "own"),
    "do_sample": (True, "own"),
    "num_beams": (3, "own"),
    "use_mtp": (True, "transformers"),
    "use_cache": (False, "transformers"),
    "cache_implementation": ("static", "transformers"),
    "cache_config": ({"nbits": 4}, "transformers"),
    "max_cache_len": (20, "transformers"),
    "temperature": (0.7, "own"),
    "top_k": (3, "own"),
    "top_p": (0.8, "own"),
    "min_p": (0.1, "own"),
    "top_h": (0.4, "own"),
    "typical_p": (0.8, "own"),
    "epsilon_cutoff": (0.01, "own"),
    "eta_cutoff": (0.01, "own"),
    "repetition_penalty": (1.2, "own"),
    "encoder_repetition_penalty": (1.2, "own"),
    "length_penalty": (0.6, "own"),
    "no_repeat_ngram_size": (2, "own"),
    "bad_words_ids": ([[7]], "own"),
    "renormalize_logits": (True, "own"),
    "forced_bos_token_id": (7, "own"),
    "forced_eos_token_id": (1, "own"),
    "remove_invalid_values": (True, "own"),
    "exponential_decay_length_penalty": ((2, 1.1), "own"),
    "suppress_tokens": ([7], "own"),
    "begin_suppress_tokens": ([7], "own"),
    "sequence_bias": ([[[7], 1.0]], "own"),
    "token_healing": (True, "transformers"),
    "guidance_scale": (1.5, "transformers"),
    "watermarking_config": (WatermarkingConfig(), "own"),
    "num_return_sequences": (2, "own"),
    "output_attentions": (True, "transformers"),
    "output_hidden_states": (True, "transformers"),
    "output_scores": (True, "own"),
    "output_logits": (True, "own"),
    "return_dict_in_generate": (True, "own"),
    "pad_token_id": (5, "own"),
    "bos_token_id": (5, "own"),
    "eos_token_id": (5, "own"),
    "encoder_no_repeat_ngram_size": (2, "own"),
    "decoder_start_token_id": (5, "own"),
    "is_assistant": (True, "transformers"),
    "num_assistant_tokens": (4, "own"),
    "num_assistant_tokens_schedule": ("constant", "own"),
    "assistant_confidence_threshold": (0.5, "own"),
    "prompt_lookup_num_tokens": (2, "transformers"),
    "max_matching_ngram_size": (2, "own"),
    "assistant_early_exit": (1, "transformers"),
    "assistant_lookbehind": (5, "own"),
    "target_lookbehind": (5, "own"),
    "assistant_ensemble_weight": (0.5, "own"),
    "speculation_type": ("dflash", "transformers"),
    "compile_config": (CompileConfig(), "transformers"),
    "disable_compile": (True, "own"),
    "continuous_batching_config": (None, "own"),
    "low_memory": (True, "transformers"),
    "penalty_alpha": (0.6, "transformers"),
    "dola_layers": ("low", "transformers"),
    "diversity_penalty": (0.5, "transformers"),
    "num_beam_groups": (2, "transformers"),
    "constraints": ([None], "transformers"),
    "force_words_ids": ([[7]], "transformers"),
    "prefill_chunk_size": (2, "transformers"),
    "_from_model_config": (False, "own"),
    "transformers_version": ("5.0.0", "own"),
}
# Two prompts, the second padded on the left.
PROMPTS = torch.tensor([[5, 6, 7, 8], [0, 5, 9, 6]])
MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])
_OF_BEAMS = {"early_stopping", "length_penalty", "low_memory", "num_beams", "num_return_sequences"}
_OF_BEAMS |= {"num_beam_groups", "diversity_penalty", "constraints", "force_words_ids"}
_OF_SAMPLING = {"do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff"}
_OF_SAMPLING |= {"eta_cutoff"}


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer("decoder")


@pytest.fixture(scope="module")
def model(tokenizer):
    """In float64, with weights large enough that its choices are unambiguous."""
    return tiny_model("decoder", tokenizer, initializer="normal", initializer_range=0.7).double()


def test_every_field_of_transformers_has_its_loop():
    """If this fails for a new version of transformers: decide what the loop does with the new fields."""
    fields = set(vars(GenerationConfig()))
    assert fields - FIELDS.keys() == set()
    assert fields - SERVED.keys() == set()


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_served_by_its_loop(field, model, tokenizer, monkeypatch):
    """What our loop serves gives the tokens of transformers' loop, from the same random numbers."""
    if field not in vars(GenerationConfig()):
        pytest.skip("this version of transformers does not have the field")
    value, loop = FIELDS[field]
    options: dict[str, Any] = {"max_new_tokens": 4, "pad_token_id": 0}
    options |= {"num_beams": 2} if field in _OF_BEAMS else {}
    options |= {"do_sample": True} if field in _OF_SAMPLING else {}
    options.pop("max_new_tokens" if field == "max_length" else "", None)
    config = GenerationConfig(**options)
    setattr(config, field, value)

    def generated() -> list[list[int]]:
        torch.manual_seed(0)
        output = model.generate(PROMPTS, attention_mask=MASK, generation_config=config, tokenizer=tokenizer)
        return getattr(output, "sequences", output).tolist()

    with recorded_loops(monkeypatch) as loops, contextlib.suppress(Exception if loop == "transformers" else ()):
        ours = generated()
    assert ("own" in loops) == (loop == "own")
    if loop == "own":
        with transformers_decoding_loop():
            assert generated() == ours
