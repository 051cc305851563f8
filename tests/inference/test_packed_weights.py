"""Packed weights: the numbers of `nn.Linear`, kept while the weights stay and made again when they change."""

import gc
import weakref

import pytest
import torch
from torch import nn

from hf_vanilla_transformer.inference import packed_weights
from hf_vanilla_transformer.inference.packed_weights import (
    PackedLinear,
    WeightWatch,
    drop_packed_weights,
    keep_packed,
)

PROCESSORS = {
    "AMD with AVX-512": {"mkl", "amd", "avx2", "avx512"},
    "AMD without AVX-512": {"mkl", "amd", "avx2"},
    "Intel": {"mkl", "avx2", "avx512"},
    "other": set(),
}


@pytest.fixture(params=PROCESSORS)
def processor(request, monkeypatch):
    """The choices of all processors run on every processor; small weights count as large, so that oneDNN is used."""
    monkeypatch.setattr(packed_weights, "_features", lambda: frozenset(PROCESSORS[request.param]))
    monkeypatch.setattr(packed_weights, "_LARGE", 1)
    return request.param


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs, outputs", [(24, 56), (56, 24)])
@pytest.mark.parametrize("shape", [(1,), (2,), (8,), (40,), (70,), (2, 4), (1, 1), (0,)])
@pytest.mark.parametrize("activation", ["none", "relu", "gelu", "gelu_new"])
def test_values_are_those_of_float64(shape, inputs, outputs, bias, activation):
    torch.manual_seed(0)
    plain = nn.Linear(inputs, outputs, bias=bias)
    states = torch.randn(*shape, inputs)
    with torch.inference_mode():
        found = PackedLinear(plain.weight, plain.bias)(states, activation)
        exact = plain.double()(states.double())
        if activation == "relu":
            exact = exact.relu()
        elif activation != "none":
            exact = nn.functional.gelu(exact, approximate="tanh" if activation == "gelu_new" else "none")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


def test_several_maps_are_one_product():
    maps = [nn.Linear(24, width) for width in (8, 16, 24)]
    states = torch.randn(5, 24)
    with torch.inference_mode():
        found = PackedLinear.of(*maps)(states)
        torch.testing.assert_close(found, torch.cat([one(states) for one in maps], dim=-1))
        alone = PackedLinear.of(maps[0])(states)
        torch.testing.assert_close(alone, maps[0](states))


def test_maps_of_different_inputs_are_refused():
    with pytest.raises(ValueError, match=r"in_features=24.*in_features=16"):
        PackedLinear.of(nn.Linear(24, 8), nn.Linear(16, 8))
    with pytest.raises(ValueError, match="bias"):
        PackedLinear.of(nn.Linear(24, 8), nn.Linear(24, 8, bias=False))


@pytest.mark.parametrize("weight", [torch.zeros(3), torch.zeros(3, 3, dtype=torch.float64)])
def test_only_float32_matrices_are_packed(weight):
    with pytest.raises(ValueError, match=str(weight.dtype)):
        PackedLinear(weight)


def test_memory_counts_the_copies(processor):
    packed = PackedLinear(torch.randn(56, 24))
    assert packed.memory == 0
    packed(torch.randn(1, 24))
    packed(torch.randn(8, 24))
    copies = {"other": 0, "Intel": 1}.get(processor, 2)
    assert packed.memory == copies * 56 * 24 * 4


class Model(nn.Module):
    """Two maps in a row, and how often their weights were copied."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 6)
        self.copies = 0

    def pack(self) -> tuple[list[torch.Tensor], list[nn.Parameter]]:
        self.copies += 1
        return [self.first.weight.clone(), self.last.weight.clone()], [self.first.weight, self.last.weight]

    def packed(self) -> list[torch.Tensor]:
        return keep_packed(self, "test", self.pack)


def train_a_step(model, **options):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, **options)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def replace_a_module(model):
    model.last = nn.Linear(12, 6)


def merge_low_rank(model):
    """As PEFT merges an adapter into a weight, through `.data` and in place."""
    model.first.weight.data += torch.randn(12, 1) @ torch.randn(1, 6)


CHANGES = {
    "a step of AdamW": train_a_step,
    "a step of fused AdamW, which does not count versions": lambda model: train_a_step(model, fused=True),
    "load_state_dict": lambda model: model.load_state_dict(Model().state_dict()),
    "load_state_dict with assign": lambda model: model.load_state_dict(Model().state_dict(), assign=True),
    "a merged adapter": merge_low_rank,
    "one number in place": lambda model: nn.init.zeros_(model.last.weight[2, 3:4]),
    "a row through .data": lambda model: model.last.weight.data[3].zero_(),
    "a column through .data": lambda model: model.first.weight.data[:, 5].zero_(),
    "another module": replace_a_module,
    "another parameter": lambda model: setattr(model.first, "weight", nn.Parameter(torch.zeros(12, 6))),
    "other data": lambda model: setattr(model.first.weight, "data", torch.zeros(12, 6)),
    "to float64 and back": lambda model: model.double().float(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_are_made_again_when_the_weights_change(change):
    torch.manual_seed(0)
    model = Model()
    first = model.packed()
    assert model.packed() is first and model.copies == 1
    with torch.no_grad():
        change(model)
    second = model.packed()
    assert model.copies == 2
    torch.testing.assert_close(second, [model.first.weight, model.last.weight], rtol=0, atol=0)
    assert model.packed() is second and model.copies == 2


def test_copies_are_kept_in_use_and_across_modes():
    model = Model()
    model.packed()
    model.eval()
    with torch.inference_mode():
        model.last(model.first(torch.randn(3, 6)))
        model.packed()
    model.train()
    model.last(model.first(torch.randn(3, 6))).sum().backward()
    model.packed()
    assert model.copies == 1


def test_copies_can_be_dropped_by_hand():
    model = Model()
    model.packed()
    drop_packed_weights(model)
    drop_packed_weights(Model())  # without copies, there is nothing to do
    model.packed()
    assert model.copies == 2


def test_copies_are_freed_with_the_model():
    model = Model()
    copy = weakref.ref(model.packed()[0])
    del model
    gc.collect()
    assert copy() is None


@pytest.mark.parametrize("shape", [(12, 6), (6, 12), (7, 7), (1, 9), (9, 1), (30, 10), (5,), (0, 4)])
def test_the_sample_has_every_row_and_column(shape):
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)
    sample = packed_weights._sample(numbers).long()
    width = shape[-1]
    assert set((sample % max(width, 1)).tolist()) == set(range(width)) if numbers.numel() else not sample.numel()
    if len(shape) == 2 and numbers.numel():
        assert set((sample // width).tolist()) == set(range(shape[0]))


def test_weights_whose_changes_cannot_be_seen_are_refused():
    model = Model()
    model.first.weight = nn.Parameter(torch.zeros(6, 12).t())
    with pytest.raises(ValueError, match="not contiguous"):
        WeightWatch(model, [model.first.weight])
    with torch.inference_mode():
        model = Model()
    with pytest.raises(ValueError, match="inference tensor"):
        WeightWatch(model, [model.first.weight])
