"""Evaluation mode and training mode for the duration of a block."""

import pytest
from torch import nn

from hf_vanilla_transformer.evaluation_mode import evaluation_mode, training_mode


@pytest.fixture
def model():
    """A model in training mode with a dropout that the caller keeps in evaluation mode."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.Dropout()))
    model[1][0].eval()
    return model


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("context, training", [(evaluation_mode, False), (training_mode, True)])
def test_all_modules_switch_and_each_returns_to_its_mode(model, context, training):
    before = modes(model)
    with context(model) as same:
        assert same is model
        assert modes(model) == [training] * 5
    assert modes(model) == before == [True, True, True, False, True]


@pytest.mark.parametrize("context", [evaluation_mode, training_mode])
def test_an_exception_leaves_the_modes_as_they_were(model, context):
    before = modes(model)
    with pytest.raises(KeyError, match="stop"), context(model):
        raise KeyError("stop")
    assert modes(model) == before


def test_a_model_in_evaluation_mode_stays_there(model):
    model.eval()
    with evaluation_mode(model):
        pass
    assert not any(modes(model))


def test_contexts_can_be_nested(model):
    before = modes(model)
    with evaluation_mode(model):
        with training_mode(model):
            assert all(modes(model))
        assert not any(modes(model))
    assert modes(model) == before
