"""Linear maps by oneDNN are `nn.Linear`: values, gradients of every order, and everything that must not meet oneDNN."""

import math

import pytest
import torch
from torch import nn

from hf_vanilla_transformer.models import kernels_linear_vanilla
from hf_vanilla_transformer.models.kernels_linear_vanilla import (
    batched_product,
    fewest_multiplications,
    linear_kernels,
    takes_onednn,
)
from hf_vanilla_transformer.models.kernels_loss_vanilla import linear_cross_entropy
from hf_vanilla_transformer.training.optimizers import Muon

from ..tiny_models import gradients, tiny_model, tokens

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")

ZEN_5 = {"sse4a": True, "avx512_f": True, "avx512_vp2intersect": True}


class Linear(nn.Linear):
    """`nn.Linear` inside the context of the kernels."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with linear_kernels(inputs):
            return super().forward(inputs)


@pytest.fixture
def onednn(monkeypatch):
    """Use oneDNN for products of any size on any processor. It runs wherever the x86 builds of torch run."""
    monkeypatch.setattr(kernels_linear_vanilla, "fewest_multiplications", lambda: 0)


@pytest.fixture
def calls(monkeypatch):
    """The shapes of the inputs that oneDNN multiplied."""
    seen = []
    multiply = kernels_linear_vanilla.by_onednn
    monkeypatch.setattr(
        kernels_linear_vanilla, "by_onednn", lambda *tensors: seen.append(tensors[0].shape) or multiply(*tensors)
    )
    return seen


def pair(inputs: int, outputs: int, bias: bool = True) -> tuple[Linear, nn.Linear]:
    torch.manual_seed(0)
    ours, plain = Linear(inputs, outputs, bias=bias), nn.Linear(inputs, outputs, bias=bias)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs, outputs", [(24, 56), (56, 24), (32, 32)])
@pytest.mark.parametrize("shape", [(40,), (5, 8), (2, 4, 5)])
def test_values_and_gradients_are_those_of_float64(shape, inputs, outputs, bias, calls):
    ours, plain = pair(inputs, outputs, bias)
    states, target = torch.randn(*shape, inputs), torch.randn(*shape, outputs)
    results = []
    for layer, dtype in ((ours, torch.float32), (plain.double(), torch.float64)):
        leaf = states.to(dtype, copy=True).requires_grad_()
        made = layer(leaf)
        made.backward(target.to(dtype))
        results.append([made, leaf.grad, *(parameter.grad for parameter in layer.parameters())])
    assert len(calls) == 3, "the map and both gradients"
    for found, exact in zip(*results):
        assert found.dtype == torch.float32 and found.is_contiguous()
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_an_expanded_gradient_arrives():
    """`sum().backward()` passes an expanded tensor with zero strides."""
    ours, plain = pair(24, 56)
    states = torch.randn(3, 7, 24)
    for layer in (ours, plain):
        layer(states).sum().backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_gradients_have_gradients():
    ours, plain = pair(24, 56)
    states = torch.randn(9, 24, requires_grad=True)
    results = []
    for layer in (ours, plain):
        first = torch.autograd.grad(layer(states).pow(3).sum(), (states, layer.weight), create_graph=True)
        penalty = sum(gradient.square().sum() for gradient in first)
        results.append(torch.autograd.grad(penalty, (states, *layer.parameters())))
    for found, expected in zip(*results):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_several_gradients_at_once():
    ours, plain = pair(24, 56)
    states = torch.randn(2, 9, 24, requires_grad=True)
    directions = torch.randn(3, 2, 9, 56)
    results = [
        torch.autograd.grad(layer(states), (states, *layer.parameters()), directions, is_grads_batched=True)
        for layer in (ours, plain)
    ]
    for found, expected in zip(*results):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_transforms_of_torch_func_pass_through():
    ours, plain = pair(24, 56)
    states = torch.randn(4, 9, 24)

    def of_each_row_and_in_a_direction(layer: nn.Module):
        weights = dict(layer.named_parameters())

        def loss(weights, states):
            return torch.func.functional_call(layer, weights, (states,)).square().sum()

        each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, states)
        _, slope = torch.func.jvp(loss, (weights, states), (weights, states))
        return each["weight"], each["bias"], slope

    for found, expected in zip(of_each_row_and_in_a_direction(ours), of_each_row_and_in_a_direction(plain)):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("width", [8, 64], ids=["narrower than the vocabulary", "wider"])
def test_the_loss_and_its_gradients_are_those_of_float64(smoothing, width):
    torch.manual_seed(0)
    leaves = [torch.randn(23, width), torch.randn(31, width) / 4, torch.randn(31)]
    labels = torch.randint(0, 31, (23,))
    single, double = ([leaf.to(dtype).requires_grad_() for leaf in leaves] for dtype in (torch.float32, torch.float64))
    loss = linear_cross_entropy(*single, labels, label_smoothing=smoothing)
    exact = nn.functional.cross_entropy(nn.functional.linear(*double), labels, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
    for found, expected in zip(torch.autograd.grad(loss, single), torch.autograd.grad(exact, double)):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@needs_onednn
@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_a_model_trains_as_it_does_by_mkl(stack, onednn, calls):
    model = tiny_model(stack, dropout=0, attention_dropout=0).train()
    batch = {"input_ids": tokens(4, 9), "labels": tokens(4, 9, seed=1)}
    batch["attention_mask"] = torch.ones(4, 9, dtype=torch.long)
    batch["attention_mask"][1, 6:] = 0
    loss = model(**batch).loss
    found = gradients(model, loss)
    assert calls
    with torch.backends.mkldnn.flags(enabled=False):
        plain = model(**batch).loss
        expected = gradients(model, plain)
    torch.testing.assert_close(loss, plain, rtol=1e-6, atol=0)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_other_products_use_the_linear_map_of_torch(calls):
    ours, plain = pair(24, 56)
    states = torch.randn(9, 24)
    with torch.backends.mkldnn.flags(enabled=False):
        ours(states)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(states).dtype == torch.bfloat16
    assert ours.double()(states.double()).dtype == torch.float64
    assert ours.float().to("meta")(states.to("meta")).shape == (9, 56)
    ours, _ = pair(24, 56)
    compiled = torch.compile(ours, backend="eager", fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(states), plain(states))
    assert "mkldnn" not in str(torch.jit.trace(ours, states, check_trace=False).graph)  # the check calls it untraced
    assert not calls


def test_small_products_stay_with_mkl(monkeypatch):
    monkeypatch.setattr(kernels_linear_vanilla, "fewest_multiplications", lambda: 1 << 22)
    with torch.backends.mkldnn.flags(enabled=torch.backends.mkldnn.is_available()):
        left, right = torch.zeros(4, 8), torch.zeros(16, 8)
        assert not takes_onednn(left, right, 4 * 8 * 16)
        assert takes_onednn(left, right, 1 << 30) == torch.backends.mkldnn.is_available()


@needs_onednn
@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL")
@pytest.mark.parametrize(
    "capabilities, fewest",
    [
        pytest.param(ZEN_5, 1 << 22, id="Zen 5"),
        pytest.param({**ZEN_5, "avx512_vp2intersect": False}, 1 << 28, id="Zen 4"),
        pytest.param({"sse4a": True, "avx2": True}, math.inf, id="Zen 3"),
        pytest.param({**ZEN_5, "sse4a": False}, math.inf, id="Tiger Lake"),
        pytest.param({"architecture": "aarch64"}, math.inf, id="ARM"),
    ],
)
def test_the_processor_decides(capabilities, fewest, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fewest_multiplications.__wrapped__() == fewest


@needs_onednn
def test_batches_of_matrices_are_multiplied_one_by_one(onednn, calls):
    torch.manual_seed(0)
    left, right = torch.randn(3, 5, 7), torch.randn(3, 9, 7).mT
    torch.testing.assert_close(
        batched_product(left, right).double(), left.double() @ right.double(), rtol=1e-5, atol=1e-5
    )
    assert len(calls) == 3
    assert batched_product(left.double(), right.double()) is None


@needs_onednn
@pytest.mark.parametrize("shape", [(2, 12, 20), (2, 20, 12)])
def test_muon_orthogonalises_with_either_library(shape, onednn, calls):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    found = Muon.orthogonalise(matrices)
    assert calls
    with torch.backends.mkldnn.flags(enabled=False):
        torch.testing.assert_close(found, Muon.orthogonalise(matrices), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("missing", ["get_capabilities", "_linear_pointwise"])
def test_an_older_torch_multiplies_with_mkl(missing, monkeypatch):
    if missing == "get_capabilities":
        monkeypatch.delattr(torch.cpu, missing, raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ZEN_5, raising=False)
        monkeypatch.setattr(kernels_linear_vanilla, "_linear", lambda: None)
    assert fewest_multiplications.__wrapped__() == math.inf
