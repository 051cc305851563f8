"""Word alignments from attention."""

import pytest
import torch

from hf_vanilla_transformer.interpretation import AttentionMap, attention_alignment


def test_strongest_links():
    weights = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
    attention = AttentionMap(("a", "b", "c"), ("x", "y"), weights[None, None])
    assert attention_alignment(attention) == {(1, 0), (0, 1)}
    assert attention_alignment(attention, direction="source") == {(0, 1), (1, 0), (2, 0)}
    with pytest.raises(ValueError, match="direction='both'"):
        attention_alignment(attention, direction="both")
