"""`torch.compile` of a training step: one graph, few of them over many lengths, and a loss without all logits."""

import pytest
import torch

from hf_vanilla_transformer.models import kernels_loss_vanilla

from ..tiny_models import gradients, tiny_model, tokens

# (rows, length) of batches, as bucketing by length makes them.
SHAPES = [(2, 9), (2, 12), (2, 16), (3, 23), (5, 30)]


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_batches_of_many_lengths_need_three_graphs(stack, packed):
    model = tiny_model(stack, layers=1).train()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for shape in SHAPES:
        mask = torch.ones(shape, dtype=torch.long)
        mask[0, -2:] = 0
        batch = {"input_ids": tokens(*shape), "attention_mask": mask, "labels": tokens(*shape, seed=1)}
        if packed:
            batch["seq_idx"] = (torch.arange(shape[1]) // 4).expand(shape).clone()
            if stack == "seq2seq":
                batch["decoder_seq_idx"] = batch["seq_idx"].clone()
        compiled(**batch).loss.backward()
    # The first shape, any length, and any number of rows.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3
    assert not torch._dynamo.utils.counters["graph_break"]


SLOW_STACKS = [pytest.param(stack, marks=pytest.mark.slow) for stack in ("encoder", "seq2seq")]


@pytest.mark.usefixtures("chunked_loss")
@pytest.mark.parametrize("stack", ["decoder", *SLOW_STACKS])
def test_a_compiled_model_has_the_loss_and_gradients_of_the_plain_one(stack):
    model = tiny_model(stack, layers=1, dropout=0, attention_dropout=0).double().train()
    model.config.label_smoothing = 0.1
    labels = tokens(2, 11, seed=1)
    labels[0, 5:] = -100
    batch = {"input_ids": tokens(2, 11), "labels": labels}
    loss = model(**batch).loss
    expected = gradients(model, loss)
    torch._dynamo.reset()
    graphs = []
    compiled = torch.compile(model, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph)(**batch)
    (graph,) = graphs
    assert "checkpoint" in graph.code, "the compiled loss computes all logits at once"
    torch.testing.assert_close(compiled.loss, loss, rtol=0, atol=1e-12)
    with pytest.raises(AttributeError, match="return_logits=True"):
        _ = compiled.logits
    for name, gradient in gradients(model, compiled.loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-11, msg=name)


def test_the_loss_in_parts_keeps_no_logits_for_the_backward_pass():
    kept = []
    hidden, weight = torch.randn(4, 20, 8, requires_grad=True), torch.randn(500, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        loss = kernels_loss_vanilla.recomputed_cross_entropy(lambda rows: rows @ weight.T, hidden, tokens(4, 20))
    assert max(kept, default=0) < 80 * 500 // 8
    loss.backward()
    plain = torch.nn.functional.cross_entropy(hidden.flatten(0, 1) @ weight.T, tokens(4, 20).flatten())
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(hidden.grad, torch.autograd.grad(plain, hidden)[0])
