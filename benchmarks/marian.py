"""The peer of the translation benchmarks: transformers' Marian at the size of "Transformer-Tiny"."""

from __future__ import annotations

from typing import Any


def tiny_marian(vocab_size: int, pad_token_id: int, eos_token_id: int, **settings: Any):
    """A MarianMTModel with 4+4 layers, 128, 256, 4 heads: post-norm, sinusoids, ReLU, scaled and shared embeddings.

    Args:
        vocab_size: size of the shared vocabulary.
        pad_token_id: also the first token of the decoder, as in all Marian models.
        eos_token_id: ends a sequence; it is not forced.
        settings: further fields of `MarianConfig`, such as `dropout`.
    """
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=vocab_size,
        d_model=128,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=256,
        activation_dropout=0.0,
        pad_token_id=pad_token_id,
        eos_token_id=eos_token_id,
        decoder_start_token_id=pad_token_id,
        forced_eos_token_id=None,
        **settings,
    )
    return MarianMTModel(config)
