"""Attention maps between words, as in Bahdanau et al. 2015 (Figure 3) and Vaswani et al. 2017 (Figures 3 to 5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation_mode import evaluation_mode
from .token_words import TokenWords, tokens_as_words


@dataclass(frozen=True)
class AttentionMap:
    """How much each word of one sequence attends to each word of another, or of the same one.

    Attributes:
        source_tokens: the words attended to.
        target_tokens: the words that attend. In cross-attention, row i is the attention of the decoder while it
            generates word i.
        weights: (layers, heads, target words, source words); each row sums to 1.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: torch.Tensor

    def mean(self, layers: list[int] | None = None) -> torch.Tensor:
        """(target words, source words): the average over the heads of these layers (all by default).

        Raises:
            ValueError: the model does not have such a layer.
        """
        count = self.weights.shape[0]
        for layer in layers or ():
            if not -count <= layer < count:
                raise ValueError(f"layers has {layer}, but the model has layers 0 to {count - 1}.")
        chosen = self.weights if layers is None else self.weights[layers]
        return chosen.mean(dim=(0, 1))


@torch.no_grad()
def cross_attention(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: str,
    target: str | None = None,
    **generate_kwargs,
) -> AttentionMap:
    """The cross-attention of an encoder-decoder from `target` to `source`.

    The model runs once with teacher forcing. During the call it uses the eager implementation of attention, the only
    one that returns its weights.

    Args:
        model: an encoder-decoder.
        tokenizer: its tokenizer. Set `src_lang` and `tgt_lang` first if it adds language tokens (mBART, M2M100, NLLB).
        source: a sentence.
        target: its translation; None for the model's own by `generate`.
        **generate_kwargs: for `generate`, such as `num_beams=4`.

    Returns:
        A map from the words of the target to those of the source. Special tokens count as words, such as the end token
        and the language token of the target.

    Raises:
        ValueError: the model is not an encoder-decoder, a text has no tokens, or the tokenizer's `tgt_lang` or the
            model's `decoder_start_token_id` is missing.
    """
    if not model.config.is_encoder_decoder:
        raise ValueError(f"{type(model).__name__} has no cross-attention; use an encoder-decoder or self_attention.")
    source_ids, source_words = tokens_as_words(tokenizer, source)
    inputs = {"input_ids": torch.tensor([source_ids], device=model.device)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with evaluation_mode(model):
        if target is None:
            generated = model.generate(**inputs, **{**target_language(tokenizer), **generate_kwargs})[0]
            target = tokenizer.decode(generated, skip_special_tokens=True)
        start, target_ids, target_words = decoder_tokens(model, tokenizer, target)
        # The decoder's input is the target shifted right: its i-th query generates the i-th token.
        decoder_input_ids = torch.tensor([[start, *target_ids[:-1]]], device=model.device)
        with eager_attention(model):
            outputs = model(
                **inputs, decoder_input_ids=decoder_input_ids, output_attentions=True, use_cache=False, return_dict=True
            )
    return _word_map(outputs.cross_attentions, source_words, target_words)


@torch.no_grad()
def self_attention(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    *,
    stack: Literal["encoder", "decoder"] | None = None,
) -> AttentionMap:
    """The self-attention of a model between the words of `text`.

    Args:
        model: an encoder, a decoder, or an encoder-decoder.
        tokenizer: its tokenizer.
        text: one sentence.
        stack: of an encoder-decoder, the stack to run. Only `encoder` (the default) is possible, because the decoder
            needs a source to attend to.

    Raises:
        ValueError: the text has no tokens, or the model does not have `stack`.
    """
    if model.config.is_encoder_decoder:
        if stack == "decoder":
            raise ValueError("stack='decoder' needs a source sentence; use cross_attention, or stack='encoder'.")
        model_to_run = model.get_encoder()
    elif stack is not None:
        raise ValueError(f"stack={stack!r} is for encoder-decoders, but {type(model).__name__} has one stack.")
    else:
        model_to_run = model
    ids, words = tokens_as_words(tokenizer, text)
    input_ids = torch.tensor([ids], device=model.device)
    with evaluation_mode(model), eager_attention(model):
        outputs = model_to_run(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            output_attentions=True,
            return_dict=True,
        )
    return _word_map(outputs.attentions, words, words)


def target_language(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The argument of `generate` for the language token at the start of translations, if the tokenizer adds one."""
    if getattr(tokenizer, "tgt_lang", None) is None or not hasattr(tokenizer, "_switch_to_target_mode"):
        return {}
    first = tokenizer(text_target="")["input_ids"][0]
    return {} if first == tokenizer.eos_token_id else {"forced_bos_token_id": first}


def decoder_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, target: str
) -> tuple[int, list[int], TokenWords]:
    """The decoder's start token, the ids of the tokens that it generates for `target`, and their words."""
    ids, words = tokens_as_words(tokenizer, target, as_target=True)
    if tokenizer.eos_token_id in ids and ids[-1] != tokenizer.eos_token_id:
        # mBART's targets end with the language token, after the end token; the decoder starts with it.
        return ids[-1], ids[:-1], TokenWords(words.words[:-1], words.word_of_token[:-1])
    start = model.config.decoder_start_token_id
    if start is None:
        raise ValueError(
            f"The decoder of {type(model).__name__} has no start token: config.decoder_start_token_id is None; set it."
        )
    return start, ids, words


def _word_map(attentions: tuple[torch.Tensor, ...], source: TokenWords, target: TokenWords) -> AttentionMap:
    weights = torch.cat(attentions).float().cpu()  # (layers, heads, target tokens, source tokens)
    weights = target.mean_over(source.sum_over(weights, dim=3), dim=2)
    return AttentionMap(source.words, target.words, weights)


@contextmanager
def eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Eager attention during the block; afterwards each part of the model has its previous implementation."""
    # Encoder and decoder have separate configurations, which may differ.
    parts = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    before = [part.config._attn_implementation for part in parts]
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for part, implementation in zip(parts, before):
            part.config._attn_implementation = implementation
