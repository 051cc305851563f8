"""The model of a page: its predictions with their probabilities, and the attention weights behind them."""

from __future__ import annotations

from typing import Literal

import torch
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from ..generation import Translation, translate_n_best
from ..inference.low_precision import Precision
from ..interpretation import AttentionMap, cross_attention, self_attention
from ..pipelines.languages import set_languages
from ..pipelines.loading import load_model

PageTask = Literal["translation", "fill-mask", "text-generation"]

# In order of preference, for a checkpoint that several of them support.
_AUTO_CLASSES = ("AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", "AutoModelForCausalLM")


class PageModel:
    """A model and its tokenizer, with the predictions that a page shows.

    Args:
        model: an encoder-decoder or a language model.
        tokenizer: its tokenizer.
        name: title of the page; the name of the model's class if empty.
        src_lang: code of the source language, for tokenizers that know several languages.
        tgt_lang: code of the target language, for the same tokenizers.

    Attributes:
        task: ``translation`` for an encoder-decoder, ``fill-mask`` for an encoder, ``text-generation`` for a decoder.
        name: title of the page.

    Raises:
        ValueError: the model supports none of these tasks, or the languages do not fit the model or the tokenizer.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str = "",
        *,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name or type(model).__name__
        self.task: PageTask
        if model.config.is_encoder_decoder:
            self.task = "translation"
        elif model.get_output_embeddings() is None:
            raise ValueError(
                f"{type(model).__name__} has no language modeling head: use an encoder-decoder or a language model."
            )
        elif tokenizer.mask_token is not None and not model.can_generate():
            self.task = "fill-mask"
        else:
            self.task = "text-generation"
        if self.task != "translation" and (src_lang or tgt_lang):
            raise ValueError(
                f"{type(model).__name__} does not translate: leave src_lang={src_lang!r} and tgt_lang={tgt_lang!r} out."
            )
        self._generate_options = set_languages(tokenizer, src_lang, tgt_lang)
        if self.task == "translation" and getattr(tokenizer, "tgt_lang", "not needed") is None:
            raise ValueError(
                f"{type(tokenizer).__name__} knows several languages: choose the target language with tgt_lang= "
                "(hf-vanilla demo MODEL --tgt-lang CODE)."
            )

    @classmethod
    def load(
        cls,
        source: str,
        *,
        name: str = "",
        device: str | None = None,
        precision: Precision = "float32",
        trust_remote_code: bool = False,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> PageModel:
        """Loads the model from a folder or the Hub; options and errors are those of `pipelines.loading.load_model`."""
        model, tokenizer = load_model(
            source,
            *_AUTO_CLASSES,
            purpose="hf-vanilla demo",
            device=device,
            precision=precision,
            trust_remote_code=trust_remote_code,
        )
        name = name or source.rstrip("/").rsplit("/", 1)[-1]
        return cls(model, tokenizer, name, src_lang=src_lang, tgt_lang=tgt_lang)

    def translations(self, text: str, count: int) -> list[Translation]:
        """The `count` best translations of a sentence, with their log-probabilities."""
        beams = max(count, self.model.generation_config.num_beams or 1, 4)
        search = {"n_best": count, "num_beams": beams, "generate_options": self._generate_options}
        return translate_n_best(self.model, self.tokenizer, [text], scores=True, **search)[0]

    @torch.inference_mode()
    def masked_tokens(self, text: str, count: int) -> list[list[tuple[str, float]]]:
        """For each mask token in a text, the `count` most probable tokens with their probabilities.

        Raises:
            ValueError: the text contains no mask token, or is too long.
        """
        inputs = self._encode(text)
        masked = inputs["input_ids"][0] == self.tokenizer.mask_token_id
        if not masked.any():
            raise ValueError(
                f"The text contains no {self.tokenizer.mask_token}: put one in place of each word to predict."
            )
        return [self._most_probable(logits, count) for logits in self.model(**inputs).logits[0][masked]]

    @torch.inference_mode()
    def next_tokens(self, text: str, count: int) -> list[tuple[str, float]]:
        """The `count` most probable tokens after a text, with their probabilities.

        Raises:
            ValueError: the text is too long.
        """
        inputs = self._encode(text)
        return self._most_probable(self.model(**inputs, logits_to_keep=1).logits[0, -1], count)

    @torch.inference_mode()
    def continuation(self, text: str, new_tokens: int) -> str:
        """The text with `new_tokens` more tokens, chosen by greedy search.

        Raises:
            ValueError: the text is too long.
        """
        inputs = self._encode(text, new_tokens)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        output = self.model.generate(
            **inputs, max_new_tokens=new_tokens, do_sample=False, num_beams=1, pad_token_id=pad
        )
        return text + self.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    def attention(self, text: str, translation: str = "") -> dict[str, AttentionMap]:
        """Attention maps by name: ``cross-attention``, if there is a translation, and ``self-attention``.

        The self-attention of an encoder-decoder is that of its encoder.
        """
        maps = {}
        if translation.strip():
            maps["cross-attention"] = cross_attention(self.model, self.tokenizer, text, translation)
        maps["self-attention"] = self_attention(self.model, self.tokenizer, text)
        return maps

    def _encode(self, text: str, new_tokens: int = 0) -> BatchEncoding:
        """The tokenized text on the model's device; raises ValueError if it does not fit with `new_tokens` more."""
        inputs = self.tokenizer(text, return_tensors="pt", verbose=False).to(self.model.device)
        length = inputs["input_ids"].shape[1] + new_tokens
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions is not None and length > positions:
            raise ValueError(f"The text needs {length} tokens, but the model has {positions} positions: shorten it.")
        return inputs

    def _most_probable(self, logits: torch.Tensor, count: int) -> list[tuple[str, float]]:
        """The `count` most probable tokens for logits `(vocabulary,)`, with their probabilities."""
        values, ids = logits.float().softmax(-1).topk(min(count, logits.shape[-1]))
        return [(self.tokenizer.decode([token]), value) for token, value in zip(ids.tolist(), values.tolist())]
