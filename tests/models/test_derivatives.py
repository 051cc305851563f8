"""Derivatives beyond the gradient of a training step: gradients of gradients, `torch.func`, forward mode."""

import pytest
import torch
from torch.func import functional_call, grad, jvp, vmap

from ..tiny_models import tiny_model, tokens

_NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}
_PACKED = torch.tensor([[0, 1, 2, 0, 1, 2, 3]] * 2)


@pytest.mark.parametrize(
    "stack, fields, inputs",
    [
        ("decoder", {"hidden_act": "gelu_new"}, {}),
        ("decoder", {"hidden_act": "gelu_new", "norm_first": False}, {"position_ids": _PACKED}),
        ("encoder", {}, {"position_ids": _PACKED}),
        # Above 4 MB of logits, the loss is chunked.
        ("decoder", {"vocab_size": 90_000, "tie_word_embeddings": False}, {}),
        ("encoder", {"vocab_size": 90_000, "label_smoothing": 0.1}, {}),
    ],
)
def test_the_gradient_of_the_gradient_is_that_of_central_differences(stack, fields, inputs):
    model = tiny_model(stack, **_NO_DROPOUT, **fields).double().train()
    if not inputs:
        model.set_attn_implementation("eager")
    ids = tokens(2, 7)
    parameters = list(model.parameters())
    direction = [torch.randn_like(parameter) for parameter in parameters]

    def gradient(create_graph: bool = False) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(model(ids, labels=ids, **inputs).loss, parameters, create_graph=create_graph)

    def gradient_at(step: float) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            for parameter, way in zip(parameters, direction):
                parameter.add_(way, alpha=step)
        gradients = gradient()
        with torch.no_grad():
            for parameter, way in zip(parameters, direction):
                parameter.sub_(way, alpha=step)
        return gradients

    slope = sum((one * way).sum() for one, way in zip(gradient(create_graph=True), direction))
    seconds = torch.autograd.grad(slope, parameters, allow_unused=True, materialize_grads=True)
    expected = [(after - before) / 2e-5 for after, before in zip(gradient_at(1e-5), gradient_at(-1e-5))]
    error = sum(((one - other) ** 2).sum() for one, other in zip(seconds, expected))
    assert (error / sum((other**2).sum() for other in expected)).sqrt() < 2e-5


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_function_transforms_give_the_gradients_of_autograd(stack, training):
    model = tiny_model(stack, **_NO_DROPOUT).double().train(training)
    ids = tokens(3, 7)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        return functional_call(model, weights, kwargs={"input_ids": rows, "labels": rows}).loss

    model(ids, labels=ids).loss.backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    per_row = vmap(grad(lambda weights, row: loss(weights, row[None])), (None, 0))(weights, ids)
    whole = grad(loss)(weights, ids)
    for name, gradient in expected.items():
        gradient = torch.zeros_like(weights[name]) if gradient is None else gradient
        torch.testing.assert_close(whole[name], gradient)
        torch.testing.assert_close(per_row[name].mean(0), gradient)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_forward_mode_gives_the_directional_derivative(stack):
    model = tiny_model(stack, **_NO_DROPOUT).double().train()
    model.set_attn_implementation("eager")
    ids = tokens(2, 7)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    direction = {name: torch.randn_like(weight) for name, weight in weights.items()}

    def loss(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional_call(model, weights, kwargs={"input_ids": ids, "labels": ids}).loss

    _, slope = jvp(loss, (weights,), (direction,))
    expected = sum((one * direction[name]).sum() for name, one in grad(loss)(weights).items())
    torch.testing.assert_close(slope, expected)


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("inputs", [{}, {"position_ids": _PACKED}], ids=["", "packed"])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_several_gradients_at_once_are_those_one_by_one(stack, inputs):
    model = tiny_model(stack, **_NO_DROPOUT, hidden_act="gelu_new").double().train()
    if inputs and stack == "seq2seq":
        inputs = {**inputs, "decoder_position_ids": _PACKED}
    ids, parameters = tokens(2, 7), list(model.parameters())
    loss = model(ids, labels=ids, **inputs).loss
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=loss.dtype)
    together = torch.autograd.grad(loss, parameters, weights, is_grads_batched=True, retain_graph=True)
    alone = torch.autograd.grad(loss, parameters)
    for several, one in zip(together, alone):
        torch.testing.assert_close(several, torch.stack([weight * one for weight in weights]))
