"""Explicit positions of a converted RoBERTa."""

import pytest
import torch
from transformers import RobertaConfig, RobertaForMaskedLM

from hf_vanilla_transformer import from_transformers

from ..tiny_models import tokens


def test_explicit_positions_count_from_0_and_not_from_the_padding_id():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    roberta = RobertaForMaskedLM(
        RobertaConfig(vocab_size=50, max_position_embeddings=18, pad_token_id=1, initializer_range=0.3, **sizes)
    ).eval()
    ours = from_transformers(roberta).eval()
    ids, positions = tokens(1, 6), torch.arange(6)[None]
    with torch.no_grad():
        expected = roberta(ids, position_ids=positions + 2).logits
        torch.testing.assert_close(ours(ids, position_ids=positions).logits, expected)
        torch.testing.assert_close(ours(ids).logits, expected)
    with pytest.raises(ValueError, match=r"max_position_embeddings=16.*position_ids count from 0"):
        ours(ids, position_ids=positions + 12)
