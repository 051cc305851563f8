"""Encoders in use compute their layers without modules and padding: the same numbers, unless somebody looks inside."""

import copy

import pytest
import torch
from torch import nn

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer import VanillaEncoderModel, lower_precision
from hf_vanilla_transformer.inference import flat_encoder, low_precision
from hf_vanilla_transformer.inference.flat_encoder import encoder_modules, reason_against, skipped_padding
from hf_vanilla_transformer.models import encoding_vanilla

from ..tiny_models import tiny_model, tokens

LENGTHS = [9, 40, 3, 40, 28, 1, 33]
KINDS = {
    "post-norm": {},
    "pre-norm": {"norm_first": True},
    "sinusoids and relu": {"position_embedding_type": "sinusoidal", "hidden_act": "relu"},
    "GPT's gelu": {"hidden_act": "gelu_new"},
    "an activation with weights": {"hidden_act": "prelu"},
    "narrow embeddings": {"embedding_size": 8},
}


@pytest.fixture
def served(monkeypatch):
    """The answers of the flat encoder, as they are given; None where the modules were left to it."""
    answers = []
    encode = flat_encoder.encode

    def record(*arguments):
        answers.append(encode(*arguments))
        return answers[-1]

    monkeypatch.setattr(flat_encoder, "encode", record)
    return answers


def batch(lengths=LENGTHS, left=False):
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    mask = mask.flip(1) if left else mask
    return {"input_ids": tokens(len(lengths), max(lengths)), "attention_mask": mask}


def by_modules(model, **inputs):
    with torch.inference_mode(), encoder_modules():
        return model(**inputs)


@pytest.mark.parametrize("left", [False, True], ids=["padding on the right", "padding on the left"])
@pytest.mark.parametrize("lengths", [LENGTHS, [7, 7], [5], [40, 1]], ids=str)
@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
def test_states_are_those_of_the_modules(fields, lengths, left, served):
    model = tiny_model(VanillaEncoderModel, **fields).eval()
    inputs = batch(lengths, left)
    expected = by_modules(model, **inputs)
    with torch.inference_mode():
        found = model(**inputs)
        with skipped_padding():
            skipped = model(**inputs)
    assert len(served) == 3 and served[1] is not None and served[2] is not None
    torch.testing.assert_close(found.to_tuple(), expected.to_tuple())
    is_token = inputs["attention_mask"].bool()
    torch.testing.assert_close(skipped.last_hidden_state[is_token], expected.last_hidden_state[is_token])
    torch.testing.assert_close(skipped.pooler_output, expected.pooler_output)
    assert left or not skipped.last_hidden_state[~is_token].any()


def test_numbers_are_those_of_float64(served):
    model = tiny_model(VanillaEncoderModel).eval()
    precise = copy.deepcopy(model).double()
    exact = by_modules(precise, **batch()).last_hidden_state
    served.clear()
    with torch.inference_mode(), skipped_padding():
        single, double = (one(**batch()).last_hidden_state for one in (model, precise))
    assert len(served) == 2 and not any(answer is None for answer in served)
    is_token = batch()["attention_mask"].bool()
    torch.testing.assert_close(single[is_token].double(), exact[is_token], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(double[is_token], exact[is_token], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "VanillaEncoderForMaskedLM",
        "VanillaEncoderForSequenceClassification",
        "VanillaEncoderForTokenClassification",
        "VanillaEncoderForQuestionAnswering",
        "VanillaEncoderForDependencyParsing",
    ],
)
def test_heads_give_the_same_answers(name, served):
    model = tiny_model(getattr(vanilla, name)).eval()
    inputs = batch([9, 4, 6])
    if "Parsing" in name:
        inputs["word_ids"] = torch.where(inputs["attention_mask"].bool(), torch.arange(9), -1)
    expected = by_modules(model, **inputs)
    with torch.inference_mode(), skipped_padding():
        found = model(**inputs)
    assert served[-1] is not None
    is_token = inputs["attention_mask"].bool()
    for key, value in expected.items():
        if value.shape[:2] == is_token.shape:
            torch.testing.assert_close(found[key][is_token], value[is_token], msg=key)
        elif value.shape[:1] == is_token.shape[:1]:
            torch.testing.assert_close(found[key], value, msg=key)


def test_the_encoder_of_a_translation_model_is_served(served):
    model = tiny_model("seq2seq").eval()
    inputs = batch([9, 4, 6]) | {"max_new_tokens": 5, "num_beams": 2, "do_sample": False}
    expected = by_modules(model.generate, **inputs)
    assert torch.equal(model.generate(**inputs), expected)
    assert served[-1] is not None


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_maps_in_fewer_bits_are_served(precision, served, monkeypatch):
    monkeypatch.setattr(low_precision, "has_bfloat16_arithmetic", lambda: True)
    monkeypatch.setattr(low_precision, "_FEW_WEIGHTS", 1)
    model = tiny_model(VanillaEncoderModel).eval()
    lower_precision(model, precision)
    expected = by_modules(model, **batch()).last_hidden_state
    with torch.inference_mode(), skipped_padding():
        found = model(**batch()).last_hidden_state
    assert served[-1] is not None
    is_token = batch()["attention_mask"].bool()
    error = (found - expected)[is_token].norm() / expected[is_token].norm()
    assert error < 0.02


def test_weights_are_copied_again_after_an_update(served):
    model = tiny_model(VanillaEncoderModel).eval()
    inputs = batch()
    with torch.inference_mode():
        before = model(**inputs).last_hidden_state
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**inputs).last_hidden_state.square().sum().backward()
    optimizer.step()
    assert served[-1] is None  # gradients are needed
    with torch.inference_mode():
        after = model(**inputs).last_hidden_state
    assert served[-1] is not None
    is_token = inputs["attention_mask"].bool()
    assert not torch.allclose(before[is_token], after[is_token], atol=1e-3)
    torch.testing.assert_close(after[is_token], by_modules(model, **inputs).last_hidden_state[is_token])


def no_tokens(model):
    mask = batch()["attention_mask"]
    mask[2] = 0
    return {"attention_mask": mask}


def four_dimensions(model):
    return {"attention_mask": torch.ones(len(LENGTHS), 1, 40, 40, dtype=torch.bool)}


def packed_rows(model):
    return {"attention_mask": None, "seq_idx": (torch.arange(40) // 10).expand(len(LENGTHS), -1)}


def watch(model):
    model.layers[0].mlp.register_forward_hook(lambda module, inputs, output: output * 2)


def adapt(model):
    class Adapter(nn.Linear):
        def forward(self, states):
            return super().forward(states) * 2

    model.layers[1].self_attn.q_proj = Adapter(16, 16)


def train(model):
    model.train()


REASONS = {
    "a row without tokens": no_tokens,
    "a mask with four dimensions": four_dimensions,
    "packed rows": packed_rows,
    "a hook": watch,
    "an adapter": adapt,
    "dropout": train,
    "states are asked for": lambda model: {"output_hidden_states": True},
    "weights are asked for": lambda model: {"output_attentions": True},
    "the configuration asks for states": lambda model: setattr(model.config, "output_hidden_states", True),
    "bfloat16": lambda model: model.bfloat16() and None,
}


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_the_modules_compute_what_the_flat_encoder_does_not_know(reason, served):
    model = tiny_model(VanillaEncoderModel, dropout=0.1, attn_implementation="eager").eval()
    inputs = batch() | (reason(model) or {})
    torch.manual_seed(0)
    expected = by_modules(model, **inputs)
    served.clear()
    torch.manual_seed(0)
    with torch.inference_mode():
        found = model(**inputs)
    assert not served or served == [None]
    for one, other in zip(found.to_tuple(), expected.to_tuple()):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_switch_turns_it_off_and_names_a_wrong_value(served, monkeypatch):
    model = tiny_model(VanillaEncoderModel).eval()
    with torch.inference_mode():
        monkeypatch.setenv("HF_VANILLA_ENCODER", "modules")
        model(**batch())
        assert served == [None]
        monkeypatch.setenv("HF_VANILLA_ENCODER", "tokens")
        assert not model(**batch()).last_hidden_state[1 - batch()["attention_mask"] > 0].any()
        monkeypatch.setenv("HF_VANILLA_ENCODER", "fast")
        with pytest.raises(ValueError, match=r"HF_VANILLA_ENCODER='fast'.*flat, modules, tokens"):
            model(**batch())


def test_without_registration_the_modules_compute(served, monkeypatch):
    model = tiny_model(VanillaEncoderModel).eval()
    monkeypatch.setattr(encoding_vanilla, "_registered", None)
    with torch.inference_mode():
        model(**batch())
    assert not served


def test_a_reason_is_given_in_words():
    model = tiny_model(VanillaEncoderModel)
    states = torch.randn(2, 3, 16)
    assert reason_against(model, states, None, {}) == "gradients are on"
    with torch.inference_mode():
        assert reason_against(model.eval(), states, None, {}) is None
        assert "output_attentions" in reason_against(model, states, None, {"output_attentions": True})
