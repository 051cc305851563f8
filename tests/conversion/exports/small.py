"""Models and tokenizers for tests of exports, with sizes that every format supports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_vanilla_transformer.conversion.exports.samples import SENTENCES
from tests.tiny_models import Stack, tiny_folder, tiny_model, tiny_tokenizer

_KINDS = {"encoder": "wordpiece", "decoder": "byte_bpe", "seq2seq": "bpe"}
_SIZES = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 96}


def small_tokenizer(stack: Stack) -> PreTrainedTokenizerBase:
    """A tokenizer with little more than letters."""
    return tiny_tokenizer(stack, SENTENCES, kind=_KINDS[stack], vocab_size=300, min_frequency=1, model_max_length=96)


def small_model(stack: Stack, tokenizer: PreTrainedTokenizerBase | None = None, **fields: Any) -> PreTrainedModel:
    """A model with two layers and noisy weights, so that the outputs depend on all of them."""
    return tiny_model(stack, tokenizer, noise=0.2, **_fields(stack) | fields)


def small_folder(folder: Path, stack: Stack, **fields: Any) -> Path:
    """Saves a model and its tokenizer."""
    return tiny_folder(folder, stack, small_tokenizer(stack), noise=0.2, **_fields(stack) | fields)


def _fields(stack: Stack) -> dict[str, Any]:
    # Only encoder-decoders have a family whose positions skip padding like ours.
    return _SIZES if stack == "seq2seq" else _SIZES | {"positions_from_mask": False}
