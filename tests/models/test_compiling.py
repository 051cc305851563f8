"""`torch.compile` of a training step: one graph, and few of them over many lengths."""

import pytest
import torch

from ..tiny_models import tiny_model, tokens

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
