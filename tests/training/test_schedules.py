"""Learning rate schedules of the papers."""

import itertools
import math

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.schedules import constant, decay, inverse_sqrt, noam, slanted_triangular
from hf_vanilla_transformer.training.token_trainer import peak_learning_rate


def test_noam_is_equation_3_of_vaswani_et_al():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = LambdaLR(optimizer, noam(512, 4000))
    for step in range(1, 10_000):
        expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert math.isclose(optimizer.param_groups[0]["lr"], expected, rel_tol=1e-12)
        optimizer.step()
        scheduler.step()


def test_noam_peaks_at_the_end_of_the_warm_up():
    rates = [noam(512, 40)(updates) for updates in range(200)]
    assert max(rates) == rates[39]
    recipe = load_recipe("wmt14-en-de-base", ["training.warmup_steps=40"])
    assert math.isclose(peak_learning_rate(recipe.training, 512), rates[39], rel_tol=1e-12)


def test_inverse_sqrt_is_noam_with_another_peak():
    for updates in range(100):
        assert math.isclose(inverse_sqrt(10)(updates) * (64 * 10) ** -0.5, noam(64, 10)(updates), rel_tol=1e-12)


def test_constant_warms_up_and_stays():
    assert [constant(4)(updates) for updates in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_decay_falls_from_the_peak_to_its_end(shape):
    factor = decay(shape, 2, 0.1, lambda updates: (updates - 2) / 8)
    rates = [factor(updates) for updates in range(12)]
    assert rates[0] == 0.5
    assert rates[2] == max(rates) == 1.0
    assert all(before > after for before, after in itertools.pairwise(rates[2:11]))
    assert math.isclose(rates[10], 0.1) and rates[11] == rates[10]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"warmup_steps.*0"):
        noam(512, 0)
    with pytest.raises(ValueError, match="'square'"):
        decay("square", 1, 0.0, lambda updates: 0.0)


def test_slanted_triangular_is_equation_3_of_howard_and_ruder():
    total, cut_fraction, ratio = 200, 0.1, 32
    cut = int(total * cut_fraction)
    factor = slanted_triangular(total, cut_fraction, ratio)
    for t in range(total + 1):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_fraction - 1))
        assert factor(t) == pytest.approx((1 + p * (ratio - 1)) / ratio)
    assert factor(0) == pytest.approx(1 / 32) and factor(20) == 1.0 and factor(200) == pytest.approx(1 / 32)


@pytest.mark.parametrize("total", [1, 5, 33])
def test_a_short_slanted_triangle_stays_between_its_ends(total):
    factor = slanted_triangular(total)
    values = [factor(step) for step in range(total + 3)]
    assert max(values) == 1.0 and min(values) >= 1 / 32 - 1e-12
    assert values[total:] == [pytest.approx(1 / 32)] * 3


def test_slanted_triangular_refuses_wrong_arguments():
    for options in ((0,), (10, 1.5), (10, 0.1, 0.5)):
        with pytest.raises(ValueError, match=r"slanted_triangular|cut_fraction|ratio"):
            slanted_triangular(*options)
