"""The best tokens of each row are those of `torch.topk` and `torch.argmax`."""

import pytest
import torch

from hf_vanilla_transformer.generation.top_tokens import best_token, top_tokens


@pytest.mark.parametrize("size", [50, 10000, 10007, 50257])
@pytest.mark.parametrize("rows", [1, 8])
def test_the_best_are_those_of_torch(rows, size):
    torch.manual_seed(size)
    scores = torch.randn(rows, size)
    scores[0, -3:] += 9.0  # the best of a row in the rest of the blocks
    scores[-1, :4] += 9.0  # several of them in one block
    scores[:, 20:30] = -torch.inf
    for count in (1, 8, 20):
        values, tokens = top_tokens(scores, count)
        expected = scores.topk(count)
        assert values.tolist() == expected.values.tolist()
        assert tokens.tolist() == expected.indices.tolist()
    assert best_token(scores).tolist() == scores.argmax(1).tolist()


@pytest.mark.parametrize("size", [2500, 10000, 10007])
def test_the_first_of_equal_scores_is_the_best_token(size):
    scores = torch.zeros(30, size)
    scores[1, [700, 20, 2400]] = 1.0
    scores[2, [700, size - 1]] = 1.0
    assert best_token(scores).tolist() == [0, 20, 700] + [0] * 27


def test_few_scores_above_minus_infinity():
    scores = torch.full((8, 10000), -torch.inf)
    scores[:, [3, 9990]] = torch.tensor([1.0, 2.0])
    values, tokens = top_tokens(scores, 4)
    assert values.tolist() == [[2.0, 1.0, -torch.inf, -torch.inf]] * 8
    assert tokens[:, :2].tolist() == [[9990, 3]] * 8
    assert all(len(set(row)) == 4 for row in tokens.tolist())
