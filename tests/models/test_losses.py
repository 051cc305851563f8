"""The chunked loss equals the plain loss in value, gradients, smoothing and micro-batches, without the logits."""

import pytest
import torch
from torch import nn

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.models import kernels_loss_vanilla
from hf_vanilla_transformer.models.kernels_loss_vanilla import linear_cross_entropy
from hf_vanilla_transformer.models.losses_vanilla import sequence_loss, span_loss

from ..tiny_models import gradients, tiny_model, tokens


@pytest.fixture(params=[1 << 23, 64], ids=["one chunk", "many chunks"])
def workspace(request, monkeypatch):
    monkeypatch.setattr(kernels_loss_vanilla, "_WORKSPACE_ELEMENTS", request.param)


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("with_bias", [True, False])
def test_value_and_gradients_equal_the_plain_loss(smoothing, with_bias):
    torch.manual_seed(0)
    leaves = [torch.randn(23, 8), torch.randn(31, 8), torch.randn(31)]
    labels = torch.randint(0, 31, (23,))
    results = []
    for chunked in (True, False):
        hidden, weight, bias = (leaf.clone().double().requires_grad_() for leaf in leaves)
        used = bias if with_bias else None
        if chunked:
            loss = linear_cross_entropy(hidden, weight, used, labels, label_smoothing=smoothing)
        else:
            logits = nn.functional.linear(hidden, weight, used)
            loss = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        (3.0 * loss).backward()
        results.append([loss, hidden.grad, weight.grad, *([bias.grad] if with_bias else [])])
    for ours, plain in zip(*results):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


def test_a_label_too_improbable_for_its_type_costs_what_it_costs_in_the_plain_loss():
    hidden = torch.tensor([[400.0], [-400.0], [1.0]], requires_grad=True)
    weight, labels = torch.tensor([[1.0], [0.0], [-1.0]]), torch.tensor([2, 0, 1])
    loss = linear_cross_entropy(hidden, weight, None, labels)
    plain = nn.functional.cross_entropy(hidden @ weight.T, labels)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6) and plain.item() > 500
    torch.testing.assert_close(torch.autograd.grad(loss, hidden), torch.autograd.grad(plain, hidden))


def test_frozen_parts_get_no_gradient():
    hidden, weight = torch.randn(5, 4, requires_grad=True), torch.randn(7, 4)
    linear_cross_entropy(hidden, weight, None, torch.arange(5)).backward()
    assert hidden.grad is not None and weight.grad is None


def test_in_bfloat16_the_loss_is_summed_in_float32():
    torch.manual_seed(0)
    hidden, weight = torch.randn(4096, 16), torch.randn(100, 16)
    labels = torch.randint(0, 100, (4096,))
    exact = linear_cross_entropy(hidden, weight, None, labels)
    rough = linear_cross_entropy(hidden.bfloat16(), weight.bfloat16(), None, labels)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=2e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(linear_cross_entropy(hidden, weight, None, labels), rough)


def test_no_label_at_all_gives_nan_as_the_plain_mean_does_and_zero_under_a_count():
    hidden, weight, labels = torch.randn(0, 4), torch.randn(7, 4), torch.zeros(0, dtype=torch.long)
    assert linear_cross_entropy(hidden, weight, None, labels, num_items_in_batch=5).item() == 0.0


BATCHES = {
    "encoder": lambda x: {"input_ids": x, "labels": x.masked_fill(x % 3 == 0, -100)},
    "decoder": lambda x: {"input_ids": x, "labels": x.masked_fill(x % 5 == 0, -100)},
    "seq2seq": lambda x: {"input_ids": x, "labels": x.flip(1).masked_fill(x % 5 == 0, -100)},
}


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("stack", BATCHES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_training_without_logits_equals_training_with_them(stack, smoothing):
    model = tiny_model(stack, label_smoothing=smoothing, dropout=0, attention_dropout=0).double().train()
    batch = BATCHES[stack](tokens(4, 9))
    chunked, plain = model(**batch, return_logits=False), model(**batch, return_logits=True)
    assert chunked.logits is None and plain.logits.shape == (4, 9, model.config.vocab_size)
    torch.testing.assert_close(chunked.loss, plain.loss, rtol=0, atol=1e-12)
    ours, theirs = gradients(model, chunked.loss), gradients(model, plain.loss)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-12, msg=name)


@pytest.mark.parametrize("stack", BATCHES)
def test_the_loss_is_the_cross_entropy_of_the_returned_logits(stack):
    """Shifted in a causal model, and not shifted again in a translation model."""
    batch = BATCHES[stack](tokens(4, 9))
    outputs = tiny_model(stack)(**batch)
    logits, labels = outputs.logits, batch["labels"]
    if stack == "decoder":
        logits, labels = logits[:, :-1], labels[:, 1:]
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(outputs.loss, expected)


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("stack", BATCHES)
def test_smoothing_is_for_training_only(stack):
    plain, smooth = (
        tiny_model(stack, label_smoothing=smoothing, dropout=0, attention_dropout=0) for smoothing in (0.0, 0.3)
    )
    batch = BATCHES[stack](tokens(4, 9))
    torch.testing.assert_close(plain(**batch).loss, smooth(**batch).loss)
    assert abs(smooth.train()(**batch).loss - plain(**batch).loss) > 1e-3


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("stack", BATCHES)
def test_micro_batches_with_the_total_count_add_up_to_the_entire_batch(stack):
    model = tiny_model(stack, dropout=0, attention_dropout=0).double().train()
    batch = BATCHES[stack](tokens(8, 9))
    labels = batch["labels"][:, 1:] if stack == "decoder" else batch["labels"]
    count = (labels != -100).sum()
    whole = gradients(model, model(**batch).loss)
    parts = sum(
        model(**{name: value[start : start + 2] for name, value in batch.items()}, num_items_in_batch=count).loss
        for start in range(0, 8, 2)
    )
    for name, gradient in gradients(model, parts).items():
        torch.testing.assert_close(gradient, whole[name], rtol=0, atol=1e-12, msg=name)


@pytest.mark.usefixtures("chunked_loss")
def test_training_never_holds_the_logits_of_a_batch(monkeypatch):
    monkeypatch.setattr(kernels_loss_vanilla, "_WORKSPACE_ELEMENTS", 1000)
    model = tiny_model("decoder", vocab_size=1000, dropout=0, attention_dropout=0).train()
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(tensor, torch.Tensor) and tensor.dim() == 2 and tensor.shape[-1] == 1000:
                    largest = max(largest, tensor.shape[0])
            return result

    batch = tokens(8, 32)
    with Watch():
        model(input_ids=batch, labels=batch).loss.backward()
    assert 0 < largest <= 16, "rows of logits at a time; the hidden size, 16, is the other matrix of that width"


def test_a_sequence_has_the_loss_of_its_kind():
    logits = torch.randn(4, 3)
    classes, values = torch.tensor([0, 2, 1, 1]), torch.rand(4, 3)
    assert sequence_loss(logits, classes, None) == nn.functional.cross_entropy(logits, classes)
    several = (values > 0.5).float()
    torch.testing.assert_close(
        sequence_loss(logits, several, None), nn.functional.binary_cross_entropy_with_logits(logits, several)
    )
    torch.testing.assert_close(sequence_loss(logits, values, "regression"), nn.functional.mse_loss(logits, values))
    torch.testing.assert_close(
        sequence_loss(logits[:, :1], values[:, 0], None), nn.functional.mse_loss(logits[:, 0], values[:, 0])
    )


def test_answers_outside_the_text_are_not_counted():
    start, end = torch.randn(2, 5), torch.randn(2, 5)
    positions = torch.tensor([3, 5])
    expected = (
        nn.functional.cross_entropy(start[:1], positions[:1]) + nn.functional.cross_entropy(end[:1], positions[:1])
    ) / 2
    torch.testing.assert_close(span_loss(start, end, positions, positions), expected)


@pytest.mark.parametrize("stack", BATCHES)
def test_labels_that_do_not_fit_are_refused(stack):
    model, batch = tiny_model(stack), BATCHES[stack](tokens(2, 6))
    if stack != "seq2seq":
        with pytest.raises(ValueError, match=r"labels.*\(2, 5\).*\(2, 6\)"):
            model(input_ids=batch["input_ids"], labels=batch["labels"][:, :5])
    with pytest.raises(ValueError, match=r"(labels|input_ids).*50.*49"):
        model(input_ids=batch["input_ids"], labels=torch.full_like(batch["labels"], 50))


def test_labels_of_another_length_than_the_decoder_input_are_refused():
    with pytest.raises(ValueError, match=r"labels.*\(2, 5\).*\(2, 6\)"):
        tiny_model("seq2seq")(input_ids=tokens(2, 6), decoder_input_ids=tokens(2, 6), labels=tokens(2, 5))


@pytest.mark.parametrize("stack", ["Encoder", "Decoder"])
def test_targets_of_a_regression_are_not_rounded_to_the_type_of_the_logits(stack):
    model = tiny_model(getattr(vanilla, f"Vanilla{stack}ForSequenceClassification"), num_labels=1)
    ids, years = tokens(4, 8), torch.tensor([1987.0, 2003.0, 1955.0, 1999.0])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = model(ids, labels=years)
    assert outputs.logits.dtype == torch.bfloat16
    expected = ((outputs.logits[:, 0].double() - years) ** 2).mean()
    assert outputs.loss.dtype == torch.float32
    torch.testing.assert_close(outputs.loss.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("problem_type", ["regression", "single_label_classification", "multi_label_classification"])
def test_losses_of_sequences_are_at_least_in_float32(problem_type, dtype):
    logits = torch.randn(4, 3).to(dtype)
    labels = torch.tensor([0, 2, 1, 1]) if problem_type.startswith("single") else torch.rand(4, 3)
    loss = sequence_loss(logits, labels, problem_type)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    exact = sequence_loss(logits.double(), labels, problem_type)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=1e-6)


def test_boolean_labels_are_several_classes_or_the_number_of_one():
    logits = torch.randn(3, 2)
    several = torch.tensor([[True, False], [False, False], [True, True]])
    assert sequence_loss(logits, several, None) == sequence_loss(logits, several.float(), None)
    one = torch.tensor([True, False, True])
    assert sequence_loss(logits, one, None) == sequence_loss(logits, one.long(), None)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_labels_of_any_integer_type_are_class_numbers(dtype):
    logits, labels = torch.randn(3, 2), torch.tensor([0, 1, 1])
    assert sequence_loss(logits, labels.to(dtype), None) == sequence_loss(logits, labels, None)


def test_labels_that_do_not_fit_the_problem_type_are_refused():
    with pytest.raises(ValueError, match=r"labels.*\(3, 2\).*problem_type"):
        sequence_loss(torch.randn(3, 2), torch.ones(3, 2, dtype=torch.long), None)
    with pytest.raises(ValueError, match=r"labels.*\(3,\).*\(3, 2\).*problem_type"):
        sequence_loss(torch.randn(3, 2), torch.rand(3), None)
