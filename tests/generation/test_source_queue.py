"""Many sources through one queue: the outputs are those of each source alone, and batches stay full and bounded."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from hf_vanilla_transformer.generation import GoogleLengthPenalty, transformers_decoding_loop
from hf_vanilla_transformer.generation.flat_decoder import FlatDecoder
from hf_vanilla_transformer.generation.source_queue import decode_sources, queue_options

from ..tiny_models import tiny_model, tiny_tokenizer

OPTIONS = {
    "greedy": {"num_beams": 1, "do_sample": False},
    "beams": {
        "num_beams": 3,
        "num_return_sequences": 2,
        "early_stopping": "never",
        "length_penalty": GoogleLengthPenalty(0.6),
    },
    "forced": {"num_beams": 2, "forced_bos_token_id": 7},
}


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer("seq2seq")


@pytest.fixture(scope="module", params=["post-norm", "pre-norm"])
def model(request, tokenizer):
    return tiny_model(
        "seq2seq", tokenizer, norm_first=request.param == "pre-norm", initializer="normal", initializer_range=0.7
    ).double()


@pytest.fixture(scope="module")
def sources(model):
    choose = random.Random(0)
    return [[choose.randrange(5, model.config.vocab_size) for _ in range(choose.randint(1, 9))] for _ in range(9)]


def decoded(model: Any, tokenizer: Any, sources: list[list[int]], limits: list[int], **options: Any) -> list[Any]:
    """The outputs of each source, up to the first end token."""
    outputs: list[Any] = [None] * len(sources)
    end = model.config.eos_token_id
    for finished in decode_sources(model, tokenizer, sources, limits, **options):
        for source in finished:
            assert outputs[source.number] is None
            found = [[int(token) for token in output] for output in source.outputs]
            found = [output[: output.index(end) + 1] if end in output else output for output in found]
            outputs[source.number] = [output[: limits[source.number] + 1] for output in found]
    return outputs


@pytest.mark.parametrize("name", OPTIONS)
def test_outputs_are_those_of_each_source_alone(name, model, tokenizer, sources):
    limits = [len(source) + 4 for source in sources]
    with transformers_decoding_loop():
        alone = [
            decoded(model, tokenizer, [source], [limit], **OPTIONS[name])[0] for source, limit in zip(sources, limits)
        ]
    for room in ({"rows_per_batch": 1}, {"rows_per_batch": 4}, {"tokens_per_batch": 20}, {}):
        assert decoded(model, tokenizer, sources, limits, **room, **OPTIONS[name]) == alone


@pytest.mark.parametrize(
    "options", [{"no_repeat_ngram_size": 2}, {"num_beams": 2, "repetition_penalty": 1.5}], ids=["greedy", "beams"]
)
def test_options_that_look_at_all_tokens_go_through_generate(options, model, tokenizer, sources):
    assert queue_options(model, max_new_tokens=9, stop_strings=["e"], **options) is None
    assert queue_options(model, max_new_tokens=9, **options) is None
    limits = [8] * len(sources)
    found = decoded(model, tokenizer, sources, limits, rows_per_batch=5, **options)
    with transformers_decoding_loop():
        assert decoded(model, tokenizer, sources, limits, rows_per_batch=5, **options) == found


def test_batches_stay_full_and_bounded(model, tokenizer, sources, monkeypatch):
    rows: list[int] = []
    step = FlatDecoder.step

    def counted(self: Any, ids: torch.Tensor, *arguments: Any) -> torch.Tensor:
        rows.append(len(ids))
        return step(self, ids, *arguments)

    monkeypatch.setattr(FlatDecoder, "step", counted)
    limits = [3 if number % 2 else 20 for number in range(len(sources))]
    decoded(model, tokenizer, sources, limits, rows_per_batch=4, eos_token_id=None)
    assert max(rows) == 4
    # 5 sources of 20 tokens and 4 of 3; the first token of each comes from its prompt. One batch after the other, the
    # last source would begin after twice 19 steps.
    assert sum(rows) == 5 * 19 + 4 * 2
    assert len(rows) < 2 * 19 + 2


def test_changed_settings_are_used(model, tokenizer, sources):
    limits = [12] * len(sources)
    before = decoded(model, tokenizer, sources, limits, num_beams=1)
    model.generation_config.forced_bos_token_id = 9
    try:
        assert all(output[0][1] == 9 for output in decoded(model, tokenizer, sources, limits, num_beams=1))
    finally:
        model.generation_config.forced_bos_token_id = None
    assert decoded(model, tokenizer, sources, limits, num_beams=1) == before
    # The two length penalties are equal numbers.
    penalties = [queue_options(model, num_beams=2, length_penalty=form(0.6)) for form in (GoogleLengthPenalty, float)]
    assert [type(one.config.length_penalty) for one in penalties] == [GoogleLengthPenalty, float]


def test_no_sources_have_no_outputs(model, tokenizer):
    assert list(decode_sources(model, tokenizer, [], [])) == []
