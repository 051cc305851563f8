"""The paper's Adam, and Muon combined with Adam."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from hf_vanilla_transformer.training.optimizers import (
    CombinedOptimizer,
    Muon,
    build_optimizer,
    hidden_matrices,
    parameter_groups,
)
from hf_vanilla_transformer.training.recipes.text_sections import TrainingRecipe


class Network(nn.Module):
    """Has the parameter names of our models: an embedding, two layers, a norm."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed_tokens = nn.Embedding(7, 6)
        self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.norm = nn.LayerNorm(6)

    def forward(self, ids):
        hidden = self.embed_tokens(ids)
        for layer in self.layers:
            hidden = hidden + layer(hidden).relu()
        return self.norm(hidden)


def step(network, optimizer):
    optimizer.zero_grad()
    network(torch.arange(7)).pow(3).sum().backward()
    optimizer.step()


def test_adam_without_decay_is_the_papers_adam():
    ours, plain = Network(), Network()
    recipe = TrainingRecipe()
    first = build_optimizer(ours, recipe, peak=1e-3, base=1e-3)
    second = torch.optim.Adam(plain.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
    for _ in range(5):
        step(ours, first)
        step(plain, second)
    for mine, other in zip(ours.parameters(), plain.parameters()):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)


def test_biases_and_norms_do_not_decay():
    network = Network()
    decaying, others = parameter_groups(network, 0.1)
    assert decaying["weight_decay"] == 0.1 and others["weight_decay"] == 0.0
    assert {parameter.dim() for parameter in decaying["params"]} == {2}
    assert {parameter.dim() for parameter in others["params"]} == {1}
    assert len(decaying["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_muon_trains_the_matrices_of_the_layers_and_adam_all_other_parameters():
    network = Network()
    assert {id(matrix) for matrix in hidden_matrices(network)} == {id(layer.weight) for layer in network.layers}
    optimizer = build_optimizer(network, TrainingRecipe(optim="muon"), peak=1e-3, base=1e-3)
    seen = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(seen) == sorted(id(parameter) for parameter in network.parameters())
    with pytest.raises(ValueError, match="'adam'"):
        build_optimizer(nn.LayerNorm(3), TrainingRecipe(optim="muon"), peak=1.0, base=1.0)


@pytest.mark.parametrize("shape", [(3, 128, 128), (3, 256, 128), (3, 128, 256)])
def test_muons_updates_are_nearly_orthogonal(shape):
    """Singular vectors do not change, and every singular value above 1 % of the norm ends within 27 % of one."""
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], shape[1], 128, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(shape[0], shape[2], 128, dtype=torch.float64))
    singular = torch.logspace(-3, 0, 128, dtype=torch.float64)
    update = Muon.orthogonalise(left * singular @ right.mT)
    made = (left.mT @ update @ right).diagonal(dim1=1, dim2=2)
    large = singular > 0.0101 * singular.norm()
    assert made[:, large].min() > 0.73 and made[:, large].max() < 1.27
    torch.testing.assert_close(update, left * made[:, None, :] @ right.mT)


def test_a_schedule_changes_the_rates_of_both_optimizers():
    recipe = TrainingRecipe(optim="muon", muon_learning_rate=0.02)
    network = Network()
    optimizer = build_optimizer(network, recipe, peak=1e-3, base=1.0)  # as with noam, whose base rate is 1
    LambdaLR(optimizer, lambda updates: 1e-3)
    rates = [group["lr"] for part in optimizer.optimizers for group in part.param_groups]
    assert rates == pytest.approx([0.02, 1e-3, 1e-3])


def test_a_combined_optimizer_continues_exactly_from_its_state():
    recipe = TrainingRecipe(optim="muon", weight_decay=0.1)
    network = Network()
    optimizer = build_optimizer(network, recipe, peak=1e-3, base=1e-3)
    for _ in range(3):
        step(network, optimizer)
    copied = copy.deepcopy(network)
    restored = build_optimizer(copied, recipe, peak=1e-3, base=1e-3)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        step(network, optimizer)
        step(copied, restored)
    for mine, other in zip(network.parameters(), copied.parameters()):
        assert torch.equal(mine, other)


def test_a_state_of_another_optimizer_is_refused():
    network = Network()
    adam = build_optimizer(network, TrainingRecipe(), peak=1e-3, base=1e-3)
    muon = build_optimizer(network, TrainingRecipe(optim="muon"), peak=1e-3, base=1e-3)
    with pytest.raises(ValueError, match=r"resume with the training\.optim"):
        muon.load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match=r"optimizers=\[\]"):
        CombinedOptimizer([])
