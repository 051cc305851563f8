"""Tiny models of each stack with tokenizers trained on a few sentences, in folders as a user has them."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.tokenization import train_tokenizer

from .models.small import randomised

SENTENCES = [
    "The old man reads a book near the river.",
    "Two dogs run over the green hill!",
    "A small house stands behind the bridge.",
    "Where does the woman walk today?",
    "Paris is the capital of France.",
    "The children open the window and see the sea.",
]
STACKS = {"seq2seq": "Transformer", "encoder": "Encoder", "decoder": "Decoder"}


def save_tiny(folder: Path, template: str, model_class: type[PreTrainedModel], **fields) -> Path:
    """A random model of `model_class` and a tokenizer for it, saved in `folder`."""
    kind = "wordpiece" if template == "encoder" else "byte_bpe"
    tokenizer = train_tokenizer(SENTENCES, kind=kind, vocab_size=400, template=template, model_max_length=64)
    layers = {"encoder_layers": 2, "decoder_layers": 2} if template == "seq2seq" else {"num_hidden_layers": 2}
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    if template == "seq2seq":
        ids["decoder_start_token_id"] = tokenizer.bos_token_id
    torch.manual_seed(0)
    config = getattr(vanilla, f"Vanilla{STACKS[template]}Config")(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        **layers,
        **{name: value for name, value in ids.items() if value is not None},
        **{"max_position_embeddings": 64, **fields},
    )
    randomised(model_class(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
