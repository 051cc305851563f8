"""Small models with tokenizers, as folders, for the tests of exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderForMaskedLM,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
)
from hf_vanilla_transformer.conversion.exports.samples import SENTENCES
from hf_vanilla_transformer.tokenization.trainer import train_tokenizer

Stack = Literal["encoder", "decoder", "seq2seq"]

_CLASSES = {
    "encoder": (VanillaEncoderConfig, VanillaEncoderForMaskedLM, {"num_hidden_layers": 2}),
    "decoder": (VanillaDecoderConfig, VanillaDecoderForCausalLM, {"num_hidden_layers": 2}),
    "seq2seq": (
        VanillaTransformerConfig,
        VanillaTransformerForConditionalGeneration,
        {"encoder_layers": 2, "decoder_layers": 2},
    ),
}
_KINDS = {"encoder": "wordpiece", "decoder": "byte_bpe", "seq2seq": "bpe"}
_SIZE = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 96}


def small_tokenizer(stack: Stack) -> PreTrainedTokenizerBase:
    """A tokenizer that knows little more than letters."""
    return train_tokenizer(
        SENTENCES, kind=_KINDS[stack], vocab_size=300, template=stack, min_frequency=1, model_max_length=96
    )


def small_model(stack: Stack, tokenizer: PreTrainedTokenizerBase | None = None, **fields: Any) -> PreTrainedModel:
    """Two layers with random weights that are far enough from zero for outputs to depend on every one of them."""
    config_class, model_class, depth = _CLASSES[stack]
    tokens: dict[str, Any] = {"vocab_size": 67, "pad_token_id": 0}
    if tokenizer is not None:
        tokens = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        if stack != "encoder":
            tokens |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        if stack == "seq2seq":
            tokens |= {"decoder_start_token_id": tokenizer.bos_token_id}
    elif stack == "decoder":
        tokens |= {"bos_token_id": 3, "eos_token_id": 1}
    # The family whose batches are padded as ours are.
    usual = {} if stack == "seq2seq" else {"positions_from_mask": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config_class(**{**_SIZE, **depth, **tokens, **usual, **fields}))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def small_folder(folder: Path, stack: Stack, **fields: Any) -> Path:
    """A model and its tokenizer, saved."""
    tokenizer = small_tokenizer(stack)
    small_model(stack, tokenizer, **fields).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
