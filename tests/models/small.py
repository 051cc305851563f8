"""Small models and inputs that the tests of the family share."""

from __future__ import annotations

from typing import Any

import torch

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderForMaskedLM,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
)

VOCABULARY = 50
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 32}


def masked_language_model(**fields: Any) -> VanillaEncoderForMaskedLM:
    """Two layers of encoder, in evaluation mode."""
    torch.manual_seed(0)
    config = VanillaEncoderConfig(**{**SIZES, "num_hidden_layers": 2, "max_position_embeddings": 64, **fields})
    return randomised(VanillaEncoderForMaskedLM(config))


def causal_language_model(**fields: Any) -> VanillaDecoderForCausalLM:
    """Two layers of decoder, in evaluation mode."""
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1}
    config = VanillaDecoderConfig(
        **{**SIZES, "num_hidden_layers": 2, "max_position_embeddings": 64, **tokens, **fields}
    )
    return randomised(VanillaDecoderForCausalLM(config))


def translation_model(**fields: Any) -> VanillaTransformerForConditionalGeneration:
    """Two layers of encoder and of decoder, in evaluation mode."""
    torch.manual_seed(0)
    config = VanillaTransformerConfig(
        **{**SIZES, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 64, **fields}
    )
    return randomised(VanillaTransformerForConditionalGeneration(config))


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """The same model with every bias and normalisation off its initial value, so that no test can miss one."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random ids that are no special tokens."""
    return torch.randint(4, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of the loss for each parameter."""
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
