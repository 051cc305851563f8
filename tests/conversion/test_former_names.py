"""Scripts that use the former names of the functions run, and are told the new ones."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

import hf_vanilla_transformer as vanilla


def test_both_directions():
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    reference = BertForMaskedLM(config)
    with pytest.warns(FutureWarning, match="from_stock is now called from_transformers"):
        ours = vanilla.from_stock(reference)
    with pytest.warns(FutureWarning, match="to_stock is now called to_transformers"):
        back = vanilla.to_stock(ours)
    assert type(back) is BertForMaskedLM
    for name, tensor in reference.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
