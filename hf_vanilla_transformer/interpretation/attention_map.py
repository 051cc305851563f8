"""Maps of attention between words, as in Bahdanau et al. 2015 (Figure 3) and Vaswani et al. 2017 (Figures 3 to 5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation_mode import evaluation_mode
from .words import Words, tokens_as_words


@dataclass(frozen=True)
class AttentionMap:
    """How much each word of one sequence attends to each word of another.

    Attributes:
        source_tokens: the words attended to.
        target_tokens: the words that attend. In cross-attention, the words the decoder writes: row i is what it looked
            at while it wrote word i.
        weights: (layers, heads, target words, source words); each row sums to 1.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: torch.Tensor

    def mean(self, layers: list[int] | None = None) -> torch.Tensor:
        """(target words, source words): the mean over the heads of these layers (all by default).

        Raises:
            ValueError: a layer that the model does not have.
        """
        count = self.weights.shape[0]
        for layer in layers or ():
            if not -count <= layer < count:
                raise ValueError(f"There is no layer {layer}: the model has layers 0 to {count - 1}.")
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
    """What an encoder-decoder looks at in `source` while it writes `target`.

    The model runs once with teacher forcing. Its attention is computed by the eager implementation, the only one that
    gives its weights away, for the time of the call.

    Args:
        model: an encoder-decoder.
        tokenizer: its tokenizer. One that marks languages (mBART, M2M100, NLLB) marks its own `src_lang` and
            `tgt_lang`, so set them first.
        source: a sentence.
        target: its translation; the model's own (by `generate`) if None.
        **generate_kwargs: for `generate`, such as `num_beams=4`.

    Returns:
        A map from the words of the target, the end mark included, to those of the source. A mark of the language that
        the decoder writes is a word, too.

    Raises:
        ValueError: the model has no encoder and decoder, a text has no tokens, or the tokenizer's `tgt_lang` or the
            model's `decoder_start_token_id` is missing.
    """
    if not model.config.is_encoder_decoder:
        raise ValueError(
            f"{type(model).__name__} has no cross-attention: use an encoder-decoder, or self_attention for one stack."
        )
    source_ids, source_words = tokens_as_words(tokenizer, source)
    inputs = {"input_ids": torch.tensor([source_ids], device=model.device)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with evaluation_mode(model):
        if target is None:
            written = model.generate(**inputs, **{**_target_language(tokenizer), **generate_kwargs})[0]
            target = tokenizer.decode(written, skip_special_tokens=True)
        start, target_ids, target_words = _written(model, tokenizer, target)
        # The decoder reads the target one place late: its i-th query is the one that writes the i-th word.
        decoder_input_ids = torch.tensor([[start, *target_ids[:-1]]], device=model.device)
        with _eager(model):
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
    """What each word of `text` looks at in the text itself.

    Args:
        model: an encoder, a decoder, or an encoder-decoder.
        tokenizer: its tokenizer.
        text: one sentence.
        stack: of an encoder-decoder, the half to run: the encoder (the default) reads `text`. The decoder alone has no
            source to attend to, so it cannot be asked for.

    Raises:
        ValueError: the text has no tokens, or `stack` is not there.
    """
    if model.config.is_encoder_decoder:
        if stack == "decoder":
            raise ValueError("stack='decoder' needs a source sentence: use cross_attention, or stack='encoder'.")
        model_to_run = model.get_encoder()
    elif stack is not None:
        raise ValueError(f"stack={stack!r} is for encoder-decoders; {type(model).__name__} has one stack.")
    else:
        model_to_run = model
    ids, words = tokens_as_words(tokenizer, text)
    input_ids = torch.tensor([ids], device=model.device)
    with evaluation_mode(model), _eager(model):
        outputs = model_to_run(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            output_attentions=True,
            return_dict=True,
        )
    return _word_map(outputs.attentions, words, words)


def _target_language(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """For `generate`: the mark with which translations begin, if the tokenizer puts one there."""
    if getattr(tokenizer, "tgt_lang", None) is None or not hasattr(tokenizer, "_switch_to_target_mode"):
        return {}
    first = tokenizer(text_target="")["input_ids"][0]
    return {} if first == tokenizer.eos_token_id else {"forced_bos_token_id": first}


def _written(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, target: str) -> tuple[int, list[int], Words]:
    """What the decoder begins with, the tokens that it writes, and their words."""
    ids, words = tokens_as_words(tokenizer, target, as_target=True)
    if tokenizer.eos_token_id in ids and ids[-1] != tokenizer.eos_token_id:
        # mBART's targets carry last, behind the end mark, the language that the decoder reads first.
        return ids[-1], ids[:-1], Words(words.names[:-1], words.of_token[:-1])
    start = model.config.decoder_start_token_id
    if start is None:
        raise ValueError(
            f"The decoder of {type(model).__name__} has nothing to begin with: config.decoder_start_token_id is None, "
            "set it."
        )
    return start, ids, words


def _word_map(attentions: tuple[torch.Tensor, ...], source: Words, target: Words) -> AttentionMap:
    weights = torch.cat(attentions).float().cpu()  # one (1, heads, target, source) a layer
    weights = target.mean_over(source.sum_over(weights, dim=3), dim=2)
    return AttentionMap(source.names, target.names, weights)


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[None]:
    """The eager attention for a while; then each part of the model has its own again."""
    # Encoder and decoder have configurations of their own, which may differ.
    parts = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    before = [part.config._attn_implementation for part in parts]
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for part, implementation in zip(parts, before):
            part.config._attn_implementation = implementation
