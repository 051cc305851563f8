"""Running averages of weights in memory."""

import pytest
import torch
from torch import nn

from hf_vanilla_transformer.training.averaging import WeightAverage


@pytest.fixture
def module():
    return nn.Linear(2, 1, bias=False)


def fill(module, value):
    with torch.no_grad():
        module.weight.fill_(value)


def test_the_mean_of_the_last_snapshots(module):
    average = WeightAverage(module, "last", last=2)
    with pytest.raises(ValueError, match="snapshot"):
        average.weights()
    for value in (1.0, 2.0, 6.0):
        fill(module, value)
        average.update()
    assert torch.equal(average.weights()["weight"], torch.full((1, 2), 4.0))


def test_the_moving_average_is_not_biased_to_its_start(module):
    average = WeightAverage(module, "ema", decay=0.9)
    fill(module, 3.0)
    average.update()
    torch.testing.assert_close(average.weights()["weight"], torch.full((1, 2), 3.0))
    fill(module, 5.0)
    average.update()
    torch.testing.assert_close(average.weights()["weight"], torch.full((1, 2), (0.9 * 3 + 5) / 1.9))


@pytest.mark.parametrize("kind", ["last", "ema"])
def test_an_average_is_applied_within_a_context_and_continues_after_a_resume(module, kind):
    average = WeightAverage(module, kind, last=2, decay=0.5)
    for value in (1.0, 2.0):
        fill(module, value)
        average.update()
    before = module.weight.detach().clone()
    with average.applied():
        inside = module.weight.detach().clone()
    assert torch.equal(module.weight, before) and not torch.equal(inside, before)

    resumed = WeightAverage(module, kind, last=2, decay=0.5)
    resumed.load_state_dict(average.state_dict())
    fill(module, 7.0)
    average.update()
    resumed.update()
    assert torch.equal(average.weights()["weight"], resumed.weights()["weight"])


def test_frozen_weights_are_not_copied(module):
    model = nn.Sequential(module, nn.Linear(1, 1))
    module.weight.requires_grad_(False)
    average = WeightAverage(model, "ema")
    average.update()
    assert set(average.weights()) == {"1.weight", "1.bias"}
