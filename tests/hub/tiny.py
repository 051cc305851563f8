"""A tiny model and a tokenizer of each stack for tests of publishing."""

from __future__ import annotations

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
from hf_vanilla_transformer.tokenization import train_tokenizer

SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
TEXTS = ["the dog sees the cat", "le chien voit le chat"] * 5
# Stack: Auto class of its head.
HEADS = {"encoder": "AutoModelForMaskedLM", "decoder": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM"}
STACKS = list(HEADS)


def tokenizer_for(stack: str) -> PreTrainedTokenizerBase:
    """A tokenizer trained on two sentences."""
    return train_tokenizer(iter(TEXTS), kind="bpe", vocab_size=60, template=stack)


def model_for(stack: str, tokenizer: PreTrainedTokenizerBase, **overrides: int) -> PreTrainedModel:
    """A model with one layer and reproducible random weights."""
    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    common = {"vocab_size": len(tokenizer), **ids, **SMALL, **overrides}
    if stack == "encoder":
        return VanillaEncoderForMaskedLM(VanillaEncoderConfig(num_hidden_layers=1, **common)).eval()
    if stack == "decoder":
        return VanillaDecoderForCausalLM(VanillaDecoderConfig(num_hidden_layers=1, **common)).eval()
    config = VanillaTransformerConfig(
        encoder_layers=1, decoder_layers=1, decoder_start_token_id=tokenizer.bos_token_id, **common
    )
    return VanillaTransformerForConditionalGeneration(config).eval()


@torch.no_grad()
def inputs_and_logits(stack: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, list]:
    """Inputs and logits for a sentence, as lists for JSON."""
    inputs = dict(tokenizer("the dog sees", return_tensors="pt"))
    if stack == "seq2seq":
        inputs["decoder_input_ids"] = tokenizer("le chien", return_tensors="pt")["input_ids"]
    logits = model(**inputs).logits
    return {"inputs": {name: tensor.tolist() for name, tensor in inputs.items()}, "logits": logits.tolist()}
