"""The decoding loop of the package gives what transformers' own loop gives, and leaves to it what it does not know."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation import BaseStreamer

from hf_vanilla_transformer import VanillaDecoderForCausalLM
from hf_vanilla_transformer.generation import GoogleLengthPenalty, SourceLengthLimit, transformers_decoding_loop
from hf_vanilla_transformer.models.decoding_loop_vanilla import register_decoding_loop

from ..tiny_models import tiny_model
from .loops import recorded_loops

VOCABULARY = 43
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def random_model(kind: str, choose: random.Random) -> Any:
    """A tiny model in float64 with fields at random. Large weights make its choices unambiguous."""
    fields = {
        "norm_first": choose.choice([True, False]),
        "position_embedding_type": choose.choice(["sinusoidal", "sinusoidal_concat", "sinusoidal_t2t", "learned"]),
        "positions_from_mask": choose.choice([True, False]),
        "scale_embedding": choose.choice([True, False]),
        "layernorm_embedding": choose.choice([True, False]),
        "type_vocab_size": choose.choice([0, 2]),
        "hidden_act": choose.choice(["relu", "gelu", "gelu_new", "swish"]),
        "lm_head_bias": choose.choice([True, False]),
        "lm_head_transform": choose.choice([True, False]),
        "tie_word_embeddings": choose.choice([True, False]),
        "num_attention_heads": choose.choice([1, 2, 4]),
        "layers": choose.choice([1, 2]),
    }
    if kind == "seq2seq":
        fields |= {"share_encoder_decoder_embeddings": choose.choice([True, False]), "decoder_start_token_id": 1}
    if choose.random() < 0.3:
        fields["eos_token_id"] = [2, 5]
    model = tiny_model(
        kind,
        seed=choose.randrange(1000),
        noise=0.1,
        **SPECIAL | {"vocab_size": VOCABULARY, "initializer": "normal", "initializer_range": 0.7} | fields,
    )
    return model.double()


def random_inputs(kind: str, choose: random.Random, rows: int | None = None) -> dict[str, torch.Tensor]:
    """Rows of different lengths, padded on the usual side."""
    rows = rows or choose.choice([1, 2, 5])
    torch.manual_seed(choose.randrange(1000))
    longest = choose.choice([1, 4, 9])
    ids = torch.randint(6, VOCABULARY, (rows, longest))
    mask = torch.ones_like(ids)
    if choose.random() < 0.7:
        for row in range(rows):
            hidden = choose.randrange(longest)
            place = slice(0, hidden) if kind == "decoder" else slice(longest - hidden, None)
            ids[row, place], mask[row, place] = 0, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if kind == "seq2seq" and choose.random() < 0.2:
        inputs["decoder_input_ids"] = torch.randint(6, VOCABULARY, (rows, 3))
    return inputs


def random_options(choose: random.Random, beams: bool) -> dict[str, Any]:
    """Options of `generate` that the loop serves."""
    options: dict[str, Any] = {"max_new_tokens": choose.choice([1, 5, 20, 50]), "do_sample": False}
    if beams:
        options |= {
            "num_beams": choose.choice([2, 3, 5]),
            "early_stopping": choose.choice([True, False, "never"]),
            "length_penalty": choose.choice([0.0, 0.6, 1.0, 2.0, -1.0, GoogleLengthPenalty(0.6)]),
        }
        options["num_return_sequences"] = choose.randint(1, options["num_beams"])
    more = {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 3,
        "bad_words_ids": [[7], [8, 9]],
        "suppress_tokens": [10, 11],
        "begin_suppress_tokens": [12, 2],
        "forced_bos_token_id": 13,
        "forced_eos_token_id": 2,
        "encoder_no_repeat_ngram_size": 2,
        "encoder_repetition_penalty": 1.5,
        "exponential_decay_length_penalty": (3, 1.2),
        "renormalize_logits": True,
        "sequence_bias": [[[14], 2.0], [[15, 16], -3.0]],
    }
    for name in choose.sample(sorted(more), choose.choice([0, 0, 1, 2])):
        options[name] = more[name]
    return options


def both_loops(model: Any, monkeypatch: Any, options: dict[str, Any] | Callable[[], dict[str, Any]]) -> tuple[Any, Any]:
    """What `generate` returns by our loop and by that of transformers; `options` may make them anew for each."""
    with recorded_loops(monkeypatch) as loops:
        found = model.generate(**options() if callable(options) else options)
        assert set(loops) == {"own"}
    with transformers_decoding_loop():
        return found, model.generate(**options() if callable(options) else options)


def check_random_cases(kind: str, beams: bool, cases: int, monkeypatch: Any) -> None:
    """Random models, inputs and options give the same tokens by both loops."""
    choose = random.Random(f"{kind} {beams} {cases}")
    for _ in range(cases):
        model = random_model(kind, choose)
        inputs, options = random_inputs(kind, choose), random_options(choose, beams)
        found, expected = both_loops(model, monkeypatch, inputs | options)
        assert found.tolist() == expected.tolist(), (model.config, inputs, options)


@pytest.mark.parametrize("beams", [False, True], ids=["greedy", "beams"])
@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_tokens_are_those_of_transformers(kind, beams, monkeypatch):
    check_random_cases(kind, beams, 6, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("beams", [False, True], ids=["greedy", "beams"])
@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_tokens_of_many_models_are_those_of_transformers(kind, beams, monkeypatch):
    check_random_cases(kind, beams, 100, monkeypatch)


@pytest.mark.parametrize("beams", [False, True], ids=["greedy", "beams"])
@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_all_outputs_are_those_of_transformers(kind, beams, monkeypatch):
    """Scores and logits of every step, beam indices and the cache, also where rows end before others."""
    choose = random.Random(7)
    options = {"max_new_tokens": 30, "do_sample": False, "exponential_decay_length_penalty": (2, 1.5)}
    options |= {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    if beams:
        options |= {"num_beams": 3, "num_return_sequences": 2, "early_stopping": True}
    for _ in range(2):
        model, inputs = random_model(kind, choose), random_inputs(kind, choose)
        found, expected = both_loops(model, monkeypatch, inputs | options)
        assert type(found) is type(expected) and found.keys() == expected.keys()
        assert not any(step.is_inference() for step in found.scores)
        for name in found.keys() - {"past_key_values"}:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)
        # At the greatest length all beams have ended. Which of them the cache holds is undefined.
        assert len(found.scores) < 30
        for cache, expected_cache in zip(caches(found.past_key_values), caches(expected.past_key_values), strict=True):
            for layer, expected_layer in zip(cache.layers, expected_cache.layers, strict=True):
                torch.testing.assert_close(layer.keys, expected_layer.keys)
                torch.testing.assert_close(layer.values, expected_layer.values)


def caches(cache: Any) -> list[Any]:
    """The caches of self-attention and of cross-attention, if there is one."""
    return [cache.self_attention_cache, cache.cross_attention_cache] if hasattr(cache, "is_updated") else [cache]


@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_samples_are_those_of_transformers(kind, monkeypatch):
    """The same seed gives the same samples, also after rows have ended and left the batch."""
    choose = random.Random(3)
    inputs = random_inputs(kind, choose, rows=5)
    for options in ({}, {"temperature": 0.7, "top_k": 5}, {"top_p": 0.8, "num_return_sequences": 3}):
        model = random_model(kind, choose)
        options |= {"do_sample": True, "max_new_tokens": 25, "exponential_decay_length_penalty": (3, 1.1)}

        def seeded(options: dict[str, Any] = options) -> dict[str, Any]:
            torch.manual_seed(5)
            return inputs | options

        found, expected = both_loops(model, monkeypatch, seeded)
        assert found.tolist() == expected.tolist()
        new = found[:, inputs["input_ids"].shape[1] if kind == "decoder" else 1 :]
        ends = (new == 2).int().argmax(1)
        assert len(set(ends.tolist())) > 1


class Recorder(LogitsProcessor):
    """Keeps what it is given, and excludes token 7."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.seen.append((input_ids.tolist(), tuple(scores.shape)))
        scores[:, 7] = -torch.inf
        return scores


class RecordingCriterion(StoppingCriteria):
    """Keeps what it is given, and ends a row at token 9."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self.seen.append(input_ids.tolist())
        return input_ids[:, -1] == 9


class RecordingStreamer(BaseStreamer):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def put(self, value: torch.Tensor) -> None:
        self.seen.append(value.tolist())

    def end(self) -> None:
        self.seen.append("end")


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_processors_criteria_and_streamers_are_given_what_transformers_gives(kind, beams, monkeypatch):
    choose = random.Random(11)
    model, inputs = random_model(kind, choose), random_inputs(kind, choose)
    recorders: list[Any] = []

    def with_recorders() -> dict[str, Any]:
        processor, criterion, streamer = Recorder(), RecordingCriterion(), RecordingStreamer()
        recorders.extend([processor, criterion, streamer])
        options = {
            "logits_processor": LogitsProcessorList([processor]),
            "stopping_criteria": StoppingCriteriaList([criterion]),
            "num_beams": beams,
            "max_new_tokens": 12,
            "do_sample": False,
        }
        return inputs | options | ({"streamer": streamer} if beams == 1 else {})

    found, expected = both_loops(model, monkeypatch, with_recorders)
    assert found.tolist() == expected.tolist()
    for ours, theirs in zip(recorders[:3], recorders[3:]):
        assert ours.seen == theirs.seen
    assert all(recorder.seen for recorder in recorders[: 3 if beams == 1 else 2])


@pytest.mark.parametrize("beams", [1, 3])
def test_rows_end_at_their_own_limit(beams, monkeypatch):
    choose = random.Random(2)
    model, inputs = random_model("seq2seq", choose), random_inputs("seq2seq", choose)
    lengths = inputs["attention_mask"].sum(1)

    def options() -> dict[str, Any]:
        limit = StoppingCriteriaList([SourceLengthLimit(lengths, 2)])
        return inputs | {"stopping_criteria": limit, "num_beams": beams, "max_new_tokens": 30, "do_sample": False}

    found, expected = both_loops(model, monkeypatch, options)
    assert found.tolist() == expected.tolist()


def hooked(model: Any) -> list[Any]:
    """Hooks that record each call of a layer."""
    calls: list[Any] = []
    model.model.layers[0].register_forward_hook(lambda *arguments: calls.append(arguments))
    return calls


def with_adapter(model: Any) -> Any:
    return get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False)).eval()


class OwnLogits(VanillaDecoderForCausalLM):
    """A model that computes its logits in another way."""

    def logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The opposite of the usual logits."""
        return -super().logits(hidden_states)


def with_another_norm(model: Any) -> Any:
    model.model.layers[1].mlp_norm = torch.nn.RMSNorm(16)
    return model


def with_another_forward(model: Any) -> Any:
    """As `torch.compile` of a layer's forward, and the offloading of accelerate."""
    forward = model.model.layers[0].forward
    model.model.layers[0].forward = lambda *args, **kwargs: forward(*args, **kwargs)
    return model


@pytest.mark.parametrize(
    "changed",
    [
        with_adapter,
        with_another_norm,
        with_another_forward,
        lambda model: model.train(),
        lambda model: model.to(torch.bfloat16),
        lambda model: OwnLogits(model.config).eval(),
    ],
    ids=["adapter", "another norm", "another forward", "dropout", "bfloat16", "subclass"],
)
def test_a_model_that_computes_something_else_is_left_to_transformers(changed, monkeypatch):
    model = changed(tiny_model("decoder"))
    with recorded_loops(monkeypatch) as loops:
        torch.manual_seed(0)
        found = model.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    assert loops == ["_sample"]
    with transformers_decoding_loop():
        torch.manual_seed(0)
        assert model.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=4).tolist() == found.tolist()


def test_hooks_fire(monkeypatch):
    model = tiny_model("decoder")
    calls = hooked(model)
    model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4, eos_token_id=None)
    assert len(calls) == 4


def test_attentions_that_were_asked_for_once_do_not_slow_down_the_rest(monkeypatch):
    """transformers leaves hooks on the layers for good, which wait for the next request."""
    model = tiny_model("decoder", attn_implementation="eager")
    model(torch.tensor([[5, 6, 7]]), output_attentions=True)
    with recorded_loops(monkeypatch) as loops:
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    assert loops == ["own"]


def test_autocast_is_left_to_transformers(monkeypatch):
    model = tiny_model("decoder")
    with recorded_loops(monkeypatch) as loops, torch.autocast("cpu", torch.bfloat16):
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    assert loops == ["_sample"]


def step_of_training(model: Any) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    ids = torch.tensor([[5, 6, 7]])
    model(ids, labels=ids).loss.backward()
    optimizer.step()


def merged_adapter(model: Any) -> None:
    with_adapter(model).merge_and_unload()


@pytest.mark.parametrize(
    "change",
    [
        step_of_training,
        merged_adapter,
        lambda model: model.load_state_dict(tiny_model("decoder", seed=1).state_dict()),
        lambda model: model.resize_token_embeddings(60),
        lambda model: model.double(),
    ],
    ids=["training", "merged adapter", "load_state_dict", "resized", "float64"],
)
def test_changed_weights_are_used(change, monkeypatch):
    model = tiny_model("decoder", initializer_range=0.5)
    options = {"inputs": torch.tensor([[5, 6, 7]]), "max_new_tokens": 6, "return_dict_in_generate": True}
    options["output_logits"] = True
    before = model.generate(**options).logits[0]
    change(model)
    model.eval()
    found, expected = both_loops(model, monkeypatch, options)
    torch.testing.assert_close(found.logits, expected.logits)
    if change.__name__ != "<lambda>":
        assert not torch.allclose(found.logits[0], before)


def test_the_loop_can_be_switched_off(monkeypatch):
    model = tiny_model("decoder")
    monkeypatch.setenv("HF_VANILLA_DECODING_LOOP", "transformers")
    with recorded_loops(monkeypatch) as loops:
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    assert loops == ["_sample"]
    monkeypatch.setenv("HF_VANILLA_DECODING_LOOP", "slow")
    with pytest.raises(ValueError, match="HF_VANILLA_DECODING_LOOP must be 'own' or 'transformers', not 'slow'"):
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)


def test_without_a_registered_loop_models_generate_as_in_a_published_folder(monkeypatch):
    model = tiny_model("decoder")
    with recorded_loops(monkeypatch) as loops:
        register_decoding_loop(None)
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    assert loops == ["_sample"]


@pytest.mark.parametrize("position_embedding_type", ["learned", "sinusoidal"])
def test_texts_that_are_longer_than_the_positions(position_embedding_type, monkeypatch):
    model = tiny_model("decoder", max_position_embeddings=6, position_embedding_type=position_embedding_type)
    options = {"inputs": torch.tensor([[5, 6, 7]]), "max_new_tokens": 8, "eos_token_id": None}
    if position_embedding_type == "learned":
        with pytest.raises(ValueError, match="The sequence has 7 positions"):
            model.generate(**options)
    else:
        found, expected = both_loops(model, monkeypatch, options)
        assert found.tolist() == expected.tolist()


def test_an_id_outside_of_the_vocabulary_is_an_error():
    with pytest.raises(ValueError, match="input_ids has the id 99"):
        tiny_model("decoder").generate(torch.tensor([[5, 99, 7]]), max_new_tokens=4)
