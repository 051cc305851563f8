"""Every mode of `generate` in both generative stacks, by what must hold between them."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import DynamicCache, EncoderDecoderCache
from transformers.generation import CompileConfig
from transformers.generation.streamers import BaseStreamer

from tests.generation.conftest import NEW_TOKENS

# The models are in float64, but `generate` keeps scores in float32.
EXACT = {"rtol": 1e-9, "atol": 1e-9}
SCORES = {"rtol": 1e-5, "atol": 1e-5, "check_dtype": False}


def by_hand(generator, row):
    """Greedy search as a loop over complete forward passes, on one row without padding; the new tokens."""
    model, ids = generator.model, row[None]
    written = torch.tensor([[model.config.decoder_start_token_id]]) if generator.is_encoder_decoder else ids
    new = []
    while len(new) < NEW_TOKENS and (not new or new[-1] != model.config.eos_token_id):
        with torch.no_grad():
            arguments = {"decoder_input_ids": written} if generator.is_encoder_decoder else {}
            logits = model(ids if generator.is_encoder_decoder else written, **arguments).logits
        new.append(int(logits[0, -1].argmax()))
        written = torch.cat([written, torch.tensor([[new[-1]]])], dim=1)
    return new


def test_greedy_equals_a_loop_of_forward_passes(generator):
    sequences = generator.new_tokens(generator.generate())
    for row, sequence in zip(generator.rows, sequences):
        expected = by_hand(generator, row)
        assert sequence[: len(expected)].tolist() == expected
        assert set(sequence[len(expected) :].tolist()) <= {generator.model.config.pad_token_id}


@pytest.mark.parametrize("arguments", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_cache_changes_nothing(generator, arguments):
    with_scores = {"return_dict_in_generate": True, "output_scores": True, **arguments}
    cached = generator.generate(use_cache=True, **with_scores)
    plain = generator.generate(use_cache=False, **with_scores)
    assert cached.sequences.tolist() == plain.sequences.tolist()
    torch.testing.assert_close(torch.stack(cached.scores), torch.stack(plain.scores), **SCORES)
    assert plain.past_key_values is None and cached.past_key_values is not None


@pytest.mark.parametrize("arguments", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_static_cache_equals_dynamic(generator, arguments):
    static = generator.generate(cache_implementation="static", **arguments)
    assert static.tolist() == generator.generate(**arguments).tolist()


@pytest.mark.parametrize(
    "backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)], ids=["traced", "inductor"]
)
def test_compiled_equals_plain(generator, backend):
    """`generate` compiles the decode step with a static cache, on CPU only on request: one graph without breaks."""
    config = CompileConfig(fullgraph=True, backend=backend, mode=None)
    config._compile_all_devices = True
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = generator.generate(cache_implementation="static", compile_config=config)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert compiled.tolist() == generator.generate().tolist()


def test_the_cache_is_of_the_right_kind(generator):
    cache = generator.generate(return_dict_in_generate=True).past_key_values
    assert isinstance(cache, EncoderDecoderCache if generator.is_encoder_decoder else DynamicCache)


def test_generation_continues_from_a_cache(generator):
    """Four tokens and then five more from their cache equal nine tokens at once."""
    if generator.is_encoder_decoder:
        pytest.skip("an encoder-decoder starts anew for another source")
    ids = generator.rows[0][None]
    whole = generator.model.generate(ids, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)
    first = generator.model.generate(
        ids, max_new_tokens=4, min_new_tokens=4, do_sample=False, return_dict_in_generate=True
    )
    rest = NEW_TOKENS - 4
    second = generator.model.generate(
        first.sequences,
        past_key_values=first.past_key_values,
        max_new_tokens=rest,
        min_new_tokens=rest,
        do_sample=False,
    )
    assert second.tolist() == whole.tolist()


@pytest.mark.parametrize("arguments", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_padding_changes_nothing(generator, arguments):
    """A batch padded on the left (a source also on the right) has the outputs of each row alone."""
    alone = [
        generator.new_tokens(
            generator.generate(input_ids=row[None], attention_mask=None, **arguments), prompt_length=len(row)
        )[0]
        for row in generator.rows
    ]
    for side in ("left", "right") if generator.is_encoder_decoder else ("left",):
        together = generator.new_tokens(generator.generate(**generator.inputs(side), **arguments))
        for expected, sequence in zip(alone, together):
            assert sequence[: len(expected)].tolist() == expected.tolist()


def test_inputs_embeds_equal_input_ids(generator):
    inputs = generator.inputs()
    embeddings = generator.model.get_input_embeddings()(inputs["input_ids"])
    from_vectors = generator.generate(input_ids=None, inputs_embeds=embeddings)
    from_ids = generator.generate()
    if not generator.is_encoder_decoder:
        from_ids = generator.new_tokens(from_ids)  # a prompt of vectors has no ids to give back
    assert from_vectors.tolist() == from_ids.tolist()


def test_an_encoded_source_can_be_given(generator):
    if not generator.is_encoder_decoder:
        pytest.skip("only an encoder-decoder has a source")
    inputs = generator.inputs()
    encoded = generator.model.get_encoder()(**inputs)
    again = generator.generate(input_ids=None, encoder_outputs=encoded, num_beams=2)
    assert again.tolist() == generator.generate(num_beams=2).tolist()


def test_decoder_prompt(generator):
    """Generation continues a target that is given."""
    if not generator.is_encoder_decoder:
        pytest.skip("a decoder's prompt is its input")
    row = {"input_ids": generator.rows[0][None], "attention_mask": None, "min_new_tokens": NEW_TOKENS}
    whole = generator.generate(**row)
    begun = generator.generate(**{**row, "min_new_tokens": 5, "max_new_tokens": 5}, decoder_input_ids=whole[:, :5])
    assert begun.tolist() == whole.tolist()


def test_sampling_from_the_best_token_is_greedy(generator):
    assert generator.generate(do_sample=True, top_k=1).tolist() == generator.generate().tolist()


def test_sampling_is_reproducible_and_varies(generator):
    samples = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        samples.append(generator.generate(do_sample=True, temperature=2.0, top_k=0).tolist())
    assert samples[0] == samples[1] != samples[2]


def test_samples_follow_the_distribution(generator):
    """The frequencies of first tokens in many samples equal the softmax."""
    count = 4000
    torch.manual_seed(0)
    row = {"input_ids": generator.rows[1][None], "attention_mask": None}
    arguments = {"do_sample": True, "top_k": 0, "max_new_tokens": 1, "num_return_sequences": count}
    sampled = generator.generate(**row, **arguments, return_dict_in_generate=True, output_logits=True)
    first = sampled.sequences[:, -1]
    expected = sampled.logits[0][0].softmax(-1)
    observed = torch.bincount(first, minlength=len(expected)).double() / count
    # Five standard deviations of a binomial frequency.
    assert ((observed - expected).abs() <= 5 * (expected * (1 - expected) / count).sqrt() + 1e-9).all()


def test_one_beam_is_greedy(generator):
    assert generator.generate(num_beams=1).tolist() == generator.generate().tolist()


def test_enough_beams_find_the_best_sequence(generator):
    """With as many beams as tokens, two steps of beam search are exhaustive."""
    model, row = generator.model, generator.rows[0][None]
    vocabulary = model.config.vocab_size
    arguments = {"max_new_tokens": 2, "min_new_tokens": 2, "num_beams": vocabulary, "length_penalty": 0.0}
    found = generator.generate(
        input_ids=row, attention_mask=None, return_dict_in_generate=True, output_scores=True, **arguments
    )
    pairs = torch.cartesian_prod(torch.arange(vocabulary), torch.arange(vocabulary))
    with torch.no_grad():
        if generator.is_encoder_decoder:
            start = torch.full((len(pairs), 1), model.config.decoder_start_token_id)
            decoder_ids = torch.cat([start, pairs[:, :1]], dim=1)
            logits = model(row.expand(len(pairs), -1), decoder_input_ids=decoder_ids).logits
        else:
            logits = model(torch.cat([row.expand(len(pairs), -1), pairs[:, :1]], dim=1)).logits[:, -2:]
    scores = logits.log_softmax(-1)
    scores[..., model.config.eos_token_id] = -math.inf  # two new tokens were asked for
    totals = scores.gather(-1, pairs[..., None]).sum((1, 2))
    assert found.sequences[0, -2:].tolist() == pairs[totals.argmax()].tolist()
    torch.testing.assert_close(found.sequences_scores[0], totals.max(), **SCORES)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_beam_scores_are_those_of_a_forward_pass(generator, length_penalty):
    """n-best lists: sorted, distinct, and each score is the sum of log-probabilities over length^penalty."""
    best = 3
    output = generator.generate(
        num_beams=4,
        num_return_sequences=best,
        length_penalty=length_penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    row_of = torch.arange(len(generator.rows)).repeat_interleave(best)
    log_probabilities = generator.log_probabilities(output.sequences, row_of)
    lengths = (log_probabilities != 0).sum(-1)
    torch.testing.assert_close(output.sequences_scores, log_probabilities.sum(-1) / lengths**length_penalty, **SCORES)
    for scores, sequences in zip(
        output.sequences_scores.view(-1, best), output.sequences.view(len(generator.rows), best, -1)
    ):
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        assert len({tuple(sequence.tolist()) for sequence in sequences}) == best


def test_beam_sampling_scores_are_those_of_a_forward_pass(generator):
    torch.manual_seed(3)
    arguments = {"do_sample": True, "num_beams": 3, "num_return_sequences": 2, "top_k": 0, "length_penalty": 1.0}
    output = generator.generate(**arguments, return_dict_in_generate=True, output_scores=True)
    log_probabilities = generator.log_probabilities(
        output.sequences, torch.arange(len(generator.rows)).repeat_interleave(2)
    )
    expected = log_probabilities.sum(-1) / (log_probabilities != 0).sum(-1)
    torch.testing.assert_close(output.sequences_scores, expected, **SCORES)


def test_transition_scores_are_those_of_a_forward_pass(generator):
    output = generator.generate(return_dict_in_generate=True, output_scores=True)
    transitions = generator.model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True)
    expected = generator.log_probabilities(output.sequences, torch.arange(len(generator.rows)))
    torch.testing.assert_close(transitions.masked_fill(expected == 0, 0.0), expected, **SCORES)


@pytest.mark.parametrize("same", [True, False], ids=["same-model", "smaller-model"])
def test_assisted_is_greedy(generator, kind_and_setting, build_model, same):
    """The result does not depend on the proposals of the assistant."""
    more = {"encoder_layers": 1, "decoder_layers": 1} if generator.is_encoder_decoder else {"num_hidden_layers": 1}
    assistant = generator.model if same else build_model(*kind_and_setting, seed=7, **more)
    for row in generator.rows:
        one = {"input_ids": row[None], "attention_mask": None}
        assisted = generator.generate(**one, assistant_model=assistant)
        assert assisted.tolist() == generator.generate(**one).tolist()


def test_prompt_lookup_is_greedy(generator):
    for row in generator.rows:
        one = {"input_ids": row.repeat(3)[None], "attention_mask": None}
        assert generator.generate(**one, prompt_lookup_num_tokens=3).tolist() == generator.generate(**one).tolist()


class _Collector(BaseStreamer):
    """Keeps the streamed tokens."""

    def __init__(self):
        self.tokens: list[int] = []
        self.ended = False

    def put(self, value):
        self.tokens += value.flatten().tolist()

    def end(self):
        self.ended = True


@pytest.mark.parametrize("arguments", [{}, {"do_sample": True}], ids=["greedy", "sampling"])
def test_streamed_equals_returned(generator, arguments):
    streamer = _Collector()
    returned = generator.generate(
        input_ids=generator.rows[0][None], attention_mask=None, streamer=streamer, **arguments
    )
    assert streamer.tokens == returned[0].tolist()
    assert streamer.ended


def test_finished_rows_are_padded(generator):
    """Padding follows the end token of a row, independently of other rows."""
    new = generator.new_tokens(generator.generate())
    end = int(new[0, 2])
    stopped = generator.new_tokens(generator.generate(eos_token_id=end))
    for sequence, free in zip(stopped, new):
        place = free.tolist().index(end) + 1 if end in free else len(free)
        assert sequence[:place].tolist() == free[:place].tolist()
        assert set(sequence[place:].tolist()) <= {generator.model.config.pad_token_id}


def test_attentions_and_hidden_states_of_every_step(generator):
    generator.model.set_attn_implementation("eager")
    try:
        output = generator.generate(
            return_dict_in_generate=True, output_attentions=True, output_hidden_states=True, min_new_tokens=NEW_TOKENS
        )
    finally:
        generator.model.set_attn_implementation("sdpa")
    attentions = output.cross_attentions if generator.is_encoder_decoder else output.attentions
    hidden = output.decoder_hidden_states if generator.is_encoder_decoder else output.hidden_states
    assert len(attentions) == len(hidden) == NEW_TOKENS
    assert len(attentions[0]) == 2 and len(hidden[0]) == 3
    for step in attentions:
        for weights in step:
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)), **EXACT)


@pytest.mark.parametrize(
    "arguments",
    [
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"bad_words_ids": [[5], [6, 7]]},
        {"forced_eos_token_id": 2},
        {"suppress_tokens": [4, 9]},
        {"num_beams": 2, "early_stopping": True},
        {"num_beams": 2, "early_stopping": "never", "length_penalty": 2.0},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_constraints_are_the_same_with_and_without_cache(generator, arguments):
    assert generator.generate(**arguments).tolist() == generator.generate(use_cache=False, **arguments).tolist()
