"""The factory of tiny models: a model of any class, its tokenizer, its folder, and inputs for it.

Every field of the configuration can be overridden. Weights are moved off their initial values, so that biases of 0 and
scales of 1 cannot hide an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.tokenization import train_tokenizer

Stack = Literal["encoder", "decoder", "seq2seq"]

SENTENCES = [
    "The old man reads a book near the river.",
    "Two dogs run over the green hill!",
    "A small house stands behind the bridge.",
    "Where does the woman walk today?",
    "Paris is the capital of France.",
    "The children open the window and see the sea.",
]
VOCABULARY = 50
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
CONFIG_CLASSES = {
    "encoder": vanilla.VanillaEncoderConfig,
    "decoder": vanilla.VanillaDecoderConfig,
    "seq2seq": vanilla.VanillaTransformerConfig,
}
LANGUAGE_MODELS = {
    "encoder": vanilla.VanillaEncoderForMaskedLM,
    "decoder": vanilla.VanillaDecoderForCausalLM,
    "seq2seq": vanilla.VanillaTransformerForConditionalGeneration,
}
# Ids of special tokens where there is no tokenizer.
SPECIAL_TOKENS = {
    "encoder": {"pad": 0},
    "decoder": {"pad": 0, "bos": 3, "eos": 1},
    "seq2seq": {"pad": 0, "bos": 3, "eos": 1, "decoder_start": 3},
}


def stack_of(model: Stack | type[PreTrainedModel]) -> Stack:
    """The stack that a class of ours belongs to; the name of a stack is returned as it is."""
    if isinstance(model, str):
        return model
    if model.__name__.startswith("VanillaTransformer"):
        return "seq2seq"
    return "encoder" if model.__name__.startswith("VanillaEncoder") else "decoder"


def tiny_config(
    model: Stack | type[PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    layers: int = 2,
    **fields: Any,
) -> Any:
    """A configuration of tiny sizes.

    Args:
        model: a stack, or a model class.
        tokenizer: gives the size of the vocabulary and the special tokens.
        layers: depth of the stack, or of each of the two.
        **fields: override everything else.
    """
    stack = stack_of(model)
    names = ["encoder_layers", "decoder_layers"] if stack == "seq2seq" else ["num_hidden_layers"]
    values: dict[str, Any] = {**SIZES, **dict.fromkeys(names, layers)}
    special = SPECIAL_TOKENS[stack]
    if tokenizer is not None:
        values["vocab_size"] = len(tokenizer)
        special = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
        if stack == "seq2seq":
            special["decoder_start"] = special["bos"]
    values |= {f"{name}_token_id": value for name, value in special.items() if value is not None}
    return CONFIG_CLASSES[stack](**values | fields)


def tiny_model(
    model: Stack | type[PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    seed: int = 0,
    noise: float = 0.05,
    **fields: Any,
) -> Any:
    """A tiny model in evaluation mode, always with the same random weights. It seeds torch.

    Args:
        model: a model class; or a stack, for its language model.
        tokenizer: as in `tiny_config`.
        seed: of the weights.
        noise: standard deviation of what is added to the initial value of each weight.
        **fields: as in `tiny_config`.
    """
    torch.manual_seed(seed)
    model_class = LANGUAGE_MODELS[model] if isinstance(model, str) else model
    return randomised(model_class(tiny_config(model, tokenizer, **fields)), noise)


def randomised(model: Any, noise: float = 0.05) -> Any:
    """The same model in evaluation mode, with normal noise added to each weight."""
    if noise:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(noise * torch.randn_like(parameter))
    return model.eval()


def tiny_tokenizer(stack: Stack, texts: Iterable[str] = SENTENCES, **options: Any) -> PreTrainedTokenizerBase:
    """A tokenizer trained on a few sentences; `options` as in `train_tokenizer`."""
    kind = "wordpiece" if stack == "encoder" else "byte_bpe"
    defaults = {"kind": kind, "vocab_size": 400, "template": stack, "model_max_length": 64}
    return train_tokenizer(texts, **defaults | options)


def tiny_folder(
    folder: Path,
    model: Stack | type[PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase | None = None,
    **fields: Any,
) -> Path:
    """A tiny model and a tokenizer for it, saved in `folder`.

    Args:
        model: as in `tiny_model`.
        tokenizer: None for `tiny_tokenizer`.
        **fields: as in `tiny_model`.
    """
    tokenizer = tiny_tokenizer(stack_of(model)) if tokenizer is None else tokenizer
    tiny_model(model, tokenizer, **fields).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random ids that are no special tokens."""
    return torch.randint(4, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of each parameter that has one, by name."""
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
