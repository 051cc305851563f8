"""The memory of decoding is known beforehand: what is allocated stays below it, and batches stay within a bound."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from hf_vanilla_transformer.generation import memory_of_row, translate, translate_n_best
from hf_vanilla_transformer.generation.source_queue import SourceQueue, decode_sources

from ..tiny_models import SENTENCES, tiny_model, tiny_tokenizer

# Sizes at which the keys and values, the scores, or the states of the encoder take most of the memory.
SIZES = {
    "deep": {"decoder_layers": 6, "encoder_layers": 1, "hidden_size": 64},
    "many tokens": {"vocab_size": 20_000},
    "wide": {"intermediate_size": 2048, "hidden_size": 64},
}


def allocated(work) -> int:
    """The largest number of bytes that torch had allocated at once during `work()`."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    used = largest = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            used += event.nbytes()
            largest = max(largest, used)
    return largest


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("sizes", SIZES)
def test_no_more_is_allocated_than_was_said(sizes, beams):
    tokenizer = tiny_tokenizer("seq2seq")
    model = tiny_model("seq2seq", tokenizer, **SIZES[sizes], max_position_embeddings=128)
    sources = [[5 + (number + place) % 90 for place in range(40 - number % 7)] for number in range(24)]
    limits = [30 + 5 * (number % 3) for number in range(24)]
    options = {"num_beams": beams, "eos_token_id": None, "rows_per_batch": 8}
    list(decode_sources(model, tokenizer, sources[:2], limits[:2], **options))  # packs the weights
    found = allocated(lambda: list(decode_sources(model, tokenizer, sources, limits, **options)))
    said = 8 * memory_of_row(model.config, 40, 40, beams)
    assert found < said < 8 * found


def test_batches_keep_within_the_memory(monkeypatch):
    tokenizer = tiny_tokenizer("seq2seq")
    model = tiny_model("seq2seq", tokenizer)
    longest = max(len(ids) for ids in tokenizer(SENTENCES)["input_ids"])
    of_row = memory_of_row(model.config, longest, longest + 4, 2)
    rooms = []
    entering = SourceQueue._entering

    def counted(self, batch):
        numbers = entering(self, batch)
        rooms.append(len(numbers) + (0 if batch is None else len(batch.live)))
        return numbers

    monkeypatch.setattr(SourceQueue, "_entering", counted)
    options = {"num_beams": 2, "max_extra_tokens": 4}
    found = translate_n_best(model, tokenizer, SENTENCES, n_best=1, memory_per_batch=2 * of_row, **options)
    assert max(rooms) == 2
    assert [answers[0].text for answers in found] == translate(model, tokenizer, SENTENCES, **options)
    with pytest.raises(ValueError, match=rf"may take {of_row} bytes"):
        translate_n_best(model, tokenizer, SENTENCES, n_best=1, memory_per_batch=of_row - 1, **options)


def test_more_of_anything_takes_more():
    config = tiny_model("seq2seq").config
    before = memory_of_row(config, 10, 20, 2)
    assert before < min(
        memory_of_row(config, 11, 20, 2), memory_of_row(config, 10, 21, 2), memory_of_row(config, 10, 20, 3)
    )
    assert torch.float64.itemsize / 4 * before == memory_of_row(config, 10, 20, 2, torch.float64.itemsize)
