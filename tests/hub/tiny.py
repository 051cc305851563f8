"""A tiny model and a tokenizer of each stack for tests of publishing."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..tiny_models import Stack, tiny_model, tiny_tokenizer

TEXTS = ["the dog sees the cat", "le chien voit le chat"] * 5
# Stack: Auto class of its head.
HEADS = {"encoder": "AutoModelForMaskedLM", "decoder": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM"}
STACKS = list(HEADS)


def tokenizer_for(stack: Stack) -> PreTrainedTokenizerBase:
    """A tokenizer trained on two sentences."""
    return tiny_tokenizer(stack, TEXTS, kind="bpe", vocab_size=60)


def model_for(stack: Stack, tokenizer: PreTrainedTokenizerBase, **fields: Any) -> PreTrainedModel:
    """A language model with one layer and reproducible random weights."""
    return tiny_model(stack, tokenizer, layers=1, **fields)


@torch.no_grad()
def inputs_and_logits(stack: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, list]:
    """Inputs and logits for a sentence, as lists for JSON."""
    inputs = dict(tokenizer("the dog sees", return_tensors="pt"))
    if stack == "seq2seq":
        inputs["decoder_input_ids"] = tokenizer("le chien", return_tensors="pt")["input_ids"]
    logits = model(**inputs).logits
    return {"inputs": {name: tensor.tolist() for name, tensor in inputs.items()}, "logits": logits.tolist()}
