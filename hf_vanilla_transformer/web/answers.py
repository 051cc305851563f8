"""What a page shows of a model: its answers with their probabilities, and the attention behind them."""

from __future__ import annotations

from typing import Literal

import torch
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from ..generation import Translation, translate_n_best
from ..interpretation import AttentionMap, cross_attention, self_attention
from ..pipelines.languages import set_languages
from ..pipelines.loading import load_model

Kind = Literal["translation", "masked words", "next token"]

# In this order: an encoder-decoder can do everything, and a model with a mask does not write on.
_AUTO_CLASSES = ("AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", "AutoModelForCausalLM")


class ModelOnPage:
    """A model and its tokenizer, and what can be asked of them.

    Args:
        model: an encoder-decoder or a language model.
        tokenizer: its tokenizer.
        name: of the model, for the page's title.
        source_language: code of the language of the sources, for tokenizers that mark it.
        target_language: code of the language to translate into, for the same.

    Attributes:
        kind: ``translation`` for an encoder-decoder, ``masked words`` for an encoder, ``next token`` for a decoder.
        name: of the model, for the page's title.

    Raises:
        ValueError: a model without any of these uses, or languages that do not fit it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str = "",
        *,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name or type(model).__name__
        self.kind: Kind
        if model.config.is_encoder_decoder:
            self.kind = "translation"
        elif model.get_output_embeddings() is None:
            raise ValueError(f"{type(model).__name__} has no words to show: use a translation or a language model.")
        elif tokenizer.mask_token is not None and not model.can_generate():
            self.kind = "masked words"
        else:
            self.kind = "next token"
        if self.kind != "translation" and (source_language or target_language):
            raise ValueError(f"{type(model).__name__} does not translate: leave the languages out.")
        self._generate_options = set_languages(tokenizer, source_language, target_language)
        if self.kind == "translation" and getattr(tokenizer, "tgt_lang", "none needed") is None:
            raise ValueError(
                f"{type(tokenizer).__name__} knows many languages: say into which one the page translates with "
                "target_language= (hf-vanilla demo MODEL --to CODE)."
            )

    @classmethod
    def load(
        cls,
        source: str,
        *,
        name: str = "",
        device: str | None = None,
        trust_remote_code: bool = False,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> ModelOnPage:
        """From a folder or the Hub; the arguments and errors are those of `pipelines.loading.load_model` and ours."""
        model, tokenizer = load_model(
            source, *_AUTO_CLASSES, use="hf-vanilla demo", device=device, trust_remote_code=trust_remote_code
        )
        name = name or source.rstrip("/").rsplit("/", 1)[-1]
        return cls(model, tokenizer, name, source_language=source_language, target_language=target_language)

    def translations(self, text: str, count: int) -> list[Translation]:
        """The `count` best translations of a sentence, with their log probabilities."""
        beams = max(count, self.model.generation_config.num_beams or 1, 4)
        search = {"n_best": count, "num_beams": beams, "generate_options": self._generate_options}
        return translate_n_best(self.model, self.tokenizer, [text], scores=True, **search)[0]

    @torch.inference_mode()
    def masked_words(self, text: str, count: int) -> list[list[tuple[str, float]]]:
        """For each mask of a text the `count` likeliest tokens with their probabilities.

        Raises:
            ValueError: the text has no mask, or is too long.
        """
        inputs = self._encoded(text)
        masks = inputs["input_ids"][0] == self.tokenizer.mask_token_id
        if not masks.any():
            raise ValueError(
                f"There is no {self.tokenizer.mask_token} in the text: put one where a word is to be found."
            )
        return [self._likeliest(logits, count) for logits in self.model(**inputs).logits[0][masks]]

    @torch.inference_mode()
    def next_tokens(self, text: str, count: int) -> list[tuple[str, float]]:
        """The `count` likeliest tokens after a text, with their probabilities.

        Raises:
            ValueError: the text is too long.
        """
        inputs = self._encoded(text)
        return self._likeliest(self.model(**inputs, logits_to_keep=1).logits[0, -1], count)

    @torch.inference_mode()
    def continuation(self, text: str, tokens: int) -> str:
        """The text and what the model writes after it, always taking the likeliest token.

        Raises:
            ValueError: the text is too long.
        """
        inputs = self._encoded(text, tokens)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        written = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False, num_beams=1, pad_token_id=pad)
        return text + self.tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    def attention(self, text: str, translation: str = "") -> dict[str, AttentionMap]:
        """The maps that can be looked at, by their names, for a text and its translation if there is one."""
        own = self_attention(self.model, self.tokenizer, text)
        if self.kind != "translation":
            return {"between the words": own}
        maps = {"within the source": own}
        if translation.strip():
            across = cross_attention(self.model, self.tokenizer, text, translation)
            maps = {"from the translation to the source": across, **maps}
        return maps

    def _encoded(self, text: str, more: int = 0) -> BatchEncoding:
        """The text on the model's device, if there is room for it and so many tokens more."""
        inputs = self.tokenizer(text, return_tensors="pt", verbose=False).to(self.model.device)
        length = inputs["input_ids"].shape[1] + more
        room = getattr(self.model.config, "max_position_embeddings", None)
        if room is not None and length > room:
            raise ValueError(f"The text is too long: this makes {length} tokens, and the model has room for {room}.")
        return inputs

    def _likeliest(self, logits: torch.Tensor, count: int) -> list[tuple[str, float]]:
        values, ids = logits.float().softmax(-1).topk(min(count, logits.shape[-1]))
        return [(self.tokenizer.decode([token]), value) for token, value in zip(ids.tolist(), values.tolist())]
