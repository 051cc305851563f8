"""Linear maps in int8 and bfloat16: close to float32, the same alone and in a batch, and only for use."""

import argparse
import copy

import pytest
import torch
from torch import nn

from hf_vanilla_transformer import lower_precision
from hf_vanilla_transformer.commands.lines import add_precision_argument
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.generation.decoding_loop import transformers_decoding_loop
from hf_vanilla_transformer.generation.plain_model import reason_against
from hf_vanilla_transformer.inference import low_precision
from hf_vanilla_transformer.inference.low_precision import (
    PRECISIONS,
    LowPrecisionLinear,
    check_precision,
    describe_precision,
)
from hf_vanilla_transformer.web.page_model import PageModel

from ..tiny_models import LANGUAGE_MODELS, tiny_folder, tiny_model, tokens

LOWER = [precision for precision in PRECISIONS if precision != "float32"]


@pytest.fixture
def any_processor(monkeypatch):
    """bfloat16 is emulated where the processor lacks it, and small maps count as large."""
    monkeypatch.setattr(low_precision, "has_bfloat16_arithmetic", lambda: True)
    monkeypatch.setattr(low_precision, "_FEW_WEIGHTS", 1)


def reduced_linear(linear, precision):
    return LowPrecisionLinear(linear.weight, linear.bias, precision)


def relative_error(found, exact):
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (9,), (2, 5), (0,)])
def test_values_are_close_to_float64(precision, bias, shape):
    torch.manual_seed(0)
    plain = nn.Linear(64, 48, bias=bias)
    states = torch.randn(*shape, 64) * torch.logspace(-3, 3, 64)
    found = reduced_linear(plain, precision)(states)
    exact = plain.double()(states.double())
    assert found.shape == exact.shape and found.dtype == torch.float32
    assert not found.numel() or relative_error(found, exact) < 0.015


def test_int8_has_no_larger_error_than_its_steps():
    """The largest weights and inputs of one sign are where sums of 16 bits would overflow."""
    plain = nn.Linear(256, 32)
    nn.init.ones_(plain.weight)
    states = torch.ones(3, 256)
    torch.testing.assert_close(reduced_linear(plain, "int8")(states), plain(states), rtol=1e-3, atol=1e-3)
    nn.init.zeros_(plain.weight)
    torch.testing.assert_close(reduced_linear(plain, "int8")(states * 0), plain(states * 0))


@pytest.mark.parametrize("precision", LOWER)
def test_a_row_does_not_depend_on_its_batch(precision):
    torch.manual_seed(0)
    reduced = reduced_linear(nn.Linear(64, 48), precision)
    states = torch.randn(7, 64)
    states[3] *= 1000
    alone = torch.cat([reduced(row[None]) for row in states])
    torch.testing.assert_close(reduced(states), alone, rtol=1e-5 if precision == "int8" else 1e-2, atol=1e-5)


@pytest.mark.parametrize("precision", LOWER)
def test_the_weight_can_be_read_and_packed_again(precision):
    """Other layouts are made from it, so that quantizing twice has to give the same numbers."""
    torch.manual_seed(0)
    plain = nn.Linear(64, 48)
    reduced = reduced_linear(plain, precision)
    assert relative_error(reduced.weight, plain.weight.double()) < 0.01
    again = nn.Linear(64, 48)
    again.weight, again.bias = nn.Parameter(reduced.weight), plain.bias
    states = torch.randn(5, 64)
    torch.testing.assert_close(reduced_linear(again, precision)(states), reduced(states), rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("stack", LANGUAGE_MODELS)
def test_models_compute_in_it(stack, precision):
    model = tiny_model(stack).eval()
    inputs = {"input_ids": tokens(3, 7)} | ({"decoder_input_ids": tokens(3, 4)} if stack == "seq2seq" else {})
    with torch.inference_mode():
        exact = model(**inputs).logits
        lower_precision(model, precision)
        found = model(**inputs).logits
        torch.testing.assert_close(copy.deepcopy(model)(**inputs).logits, found)
    assert 0 < relative_error(found, exact.double()) < 0.1
    assert f"in {precision} and take" in describe_precision(model)
    with pytest.raises(ValueError, match="only for use"):
        model.state_dict()
    logits = model(**inputs).logits
    torch.testing.assert_close(logits.detach(), found)
    with pytest.raises(ValueError, match="no gradients"):
        logits.sum().backward()


def test_float32_and_small_maps_stay():
    model = tiny_model("encoder")
    before = [type(module) for module in model.modules()]
    lower_precision(model, "float32")
    lower_precision(model, "int8")
    assert [type(module) for module in model.modules()] == before
    assert "all weights stay as they are" in describe_precision(model)


def test_generation_in_int8(any_processor):
    model = tiny_model("seq2seq").eval()
    source = tokens(3, 7)
    exact = model.generate(source, max_new_tokens=5, num_beams=2)
    lower_precision(model, "int8")
    assert reason_against(model) is None
    found = model.generate(source, max_new_tokens=5, num_beams=2)
    assert found.shape == exact.shape and (found == exact).float().mean() > 0.7
    with transformers_decoding_loop():
        torch.testing.assert_close(model.generate(source, max_new_tokens=5, num_beams=2), found)


@pytest.mark.usefixtures("any_processor")
def test_commands_and_the_page_take_it(tmp_path, capsys):
    folder = tiny_folder(tmp_path / "model", "seq2seq")
    (tmp_path / "text").write_text("Two dogs run.\n")
    translate = ["translate", str(folder), "--input", str(tmp_path / "text"), "--device", "cpu", "--num-beams", "1"]
    assert main([*translate, "--precision", "int8"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert "hf-vanilla translate: " in printed.err and "linear maps are in int8" in printed.err
    page = PageModel.load(str(folder), precision="int8")
    assert any(isinstance(module, LowPrecisionLinear) for module in page.model.modules())


def test_the_options_of_the_command_line_are_all_precisions():
    parser = argparse.ArgumentParser()
    add_precision_argument(parser)
    assert tuple(parser._option_string_actions["--precision"].choices) == PRECISIONS


def test_what_cannot_be_computed_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"'int4' must be one of float32, bfloat16, int8"):
        check_precision("int4")
    with pytest.raises(ValueError, match="'int8' is for the CPU, but the device is cuda"):
        check_precision("int8", "cuda")
    monkeypatch.setattr(low_precision, "has_bfloat16_arithmetic", lambda: False)
    with pytest.raises(ValueError, match="'bfloat16' needs a processor with bfloat16"):
        check_precision("bfloat16")
    monkeypatch.setattr(low_precision, "_engine", lambda: None)
    with pytest.raises(ValueError, match="'int8' needs a torch with quantized"):
        check_precision("int8")
    check_precision("float32", "cuda")
