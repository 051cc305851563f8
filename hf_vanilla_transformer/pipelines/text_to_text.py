"""Pipelines for encoder-decoders: translation, summarization and text2text-generation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import StoppingCriteriaList
from transformers.pipelines.base import ChunkPipeline

from .. import progress
from .languages import language_id, set_source_language
from .sentences import Sentence, join_sentences, split_sentences

# Section 6.1 of the paper: an output is at most so much longer than its input.
_MAX_EXTRA_TOKENS = 50
_PREPROCESS = ("src_lang", "tgt_lang", "prefix", "split", "truncation", "max_source_tokens")
_POSTPROCESS = ("return_scores", "return_tensors", "clean_up_tokenization_spaces")
_SPLITS = ("long", "sentences", "never")


class Text2TextGenerationPipeline(ChunkPipeline):
    """What an encoder-decoder writes when it has read a text.

    Use it through `pipeline("text2text-generation", model=...)`; every model of `AutoModelForSeq2SeqLM` will do.

    Called with a text it gives a list of one dict for each answer, ``[{"generated_text": ...}]``; with a list of texts,
    a list of such dicts, or of lists of them if `num_return_sequences` is more than 1. Generators and data sets give an
    iterator. The options below can be given when the pipeline is made and again in a call.

    Args:
        src_lang: code of the source's language, for tokenizers that mark it (mBART, M2M100, NLLB).
        tgt_lang: code of the language to write; the decoder is made to begin with it.
        prefix: put before each text, or each sentence of a split one: ``">>fra<< "`` of Marian's multilingual models,
            ``"translate English to German: "`` of T5's.
        split: ``long`` splits texts into sentences if the model cannot read them at once, ``sentences`` splits all,
            ``never`` none. The answers are joined with the white space that was between the sentences.
        truncation: cut what is still too long; if False, it is an error.
        max_source_tokens: what is too long; the model's positions if None.
        batch_size: sentences that run together. In a list of texts, those of like length do.
        progress_bar: show one on standard error; for lists.
        return_scores: also give ``score``, the log probability that the model gives the answer, end mark included.
        return_tensors: give ``generated_token_ids`` instead of text; one tensor a sentence.
        **generate_kwargs: for `generate`. Where neither these nor the model's generation config say how long an answer
            may be, it may have 50 tokens more than its source, as in section 6.1 of the paper.

    Raises:
        ValueError: an option has no legal value, the tokenizer does not know a language, or a text is too long.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    answer_name = "generated"
    default_split = "long"

    def __init__(self, *args: Any, progress_bar: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.model.config.is_encoder_decoder or not self.model.can_generate():
            raise ValueError(
                f"{type(self.model).__name__} is no encoder-decoder that generates, which {self.task!r} needs: load "
                "one with AutoModelForSeq2SeqLM."
            )
        self.model.eval()
        self.progress_bar = progress_bar
        # A call without src_lang after one with it is again in the tokenizer's own language.
        self._own_language = getattr(self.tokenizer, "src_lang", None)

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Saves the model and the tokenizer; the pipeline is no part of them, and its code need not travel along."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def __call__(self, inputs: Any, *args: Any, progress_bar: bool | None = None, **kwargs: Any) -> Any:
        """Answers to `inputs`; the options are those of the class."""
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if not isinstance(inputs, list):
            return super().__call__(inputs, *args, **kwargs)
        _check_texts(inputs)
        progress_bar = self.progress_bar if progress_bar is None else progress_bar
        # Texts of like length make batches with little padding; the longest are first, so that what does not fit into
        # memory fails at once.
        order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
        answers: list[Any] = [None] * len(inputs)
        # A generator makes the base class give its results one by one, as they come.
        results = super().__call__((inputs[index] for index in order), *args, **kwargs) if inputs else []
        bar = progress.progress_bar(results, total=len(inputs), unit="text", show=progress_bar)
        for answer, index in zip(bar, order):
            answers[index] = answer
        if all(len(answer) == 1 for answer in answers):
            return [answer[0] for answer in answers]
        return answers

    def _sanitize_parameters(self, **parameters: Any) -> tuple[dict, dict, dict]:
        split = parameters.get("split")
        if split is not None and split not in _SPLITS:
            raise ValueError(f"split={split!r} must be one of {', '.join(_SPLITS)}.")
        if (tgt_lang := parameters.get("tgt_lang")) is not None:
            parameters.setdefault("forced_bos_token_id", language_id(self.tokenizer, tgt_lang))
        preprocess = {name: parameters.pop(name) for name in _PREPROCESS if name in parameters}
        postprocess = {name: parameters.pop(name) for name in _POSTPROCESS if name in parameters}
        forward = parameters
        if "return_scores" in postprocess:
            forward["return_scores"] = postprocess["return_scores"]
        return preprocess, forward, postprocess

    def preprocess(
        self,
        text: str,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        prefix: str = "",
        split: str | None = None,
        truncation: bool = False,
        max_source_tokens: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The sentences to run for `text`, each with ids `(1, length)`, the gap after it, and if it is the last."""
        _check_texts([text])
        if (language := src_lang or self._own_language) is not None:
            set_source_language(self.tokenizer, language)
        if tgt_lang is not None and hasattr(self.tokenizer, "tgt_lang"):
            self.tokenizer.tgt_lang = tgt_lang
        limit = max_source_tokens or getattr(self.model.config, "max_position_embeddings", None)
        split = split or self.default_split
        sentences = [Sentence(text, "")]
        if split == "sentences" or (split == "long" and limit and len(self._ids(prefix + text)) > limit):
            sentences = split_sentences(text) or sentences
        for number, (sentence, gap) in enumerate(sentences, 1):
            ids = self._ids(prefix + sentence)
            if limit and len(ids) > limit and not truncation:
                raise ValueError(
                    f"A text of {len(ids)} tokens is too long, {limit} are allowed: {sentence[:60]!r} ... Split it"
                    + (" with split='sentences'" if len(sentences) == 1 and split == "never" else "")
                    + ", or cut it with truncation=True."
                )
            if limit and len(ids) > limit:
                ids = self._ids(prefix + sentence, truncation=True, max_length=limit)
            # The model must see something; what it makes of nothing is thrown away.
            input_ids = torch.tensor([ids or [self.tokenizer.pad_token_id]])
            yield {
                "input_ids": input_ids,
                "attention_mask": torch.ones_like(input_ids),
                "blank": not sentence.strip(),
                "gap": gap,
                "is_last": number == len(sentences),
            }

    def _ids(self, text: str, **options: Any) -> list[int]:
        # A long text is no fault here: it is going to be split, or refused in our own words.
        return self.tokenizer(text, verbose=False, **options)["input_ids"]

    def _forward(
        self, model_inputs: dict[str, Any], return_scores: bool = False, **generate_kwargs: Any
    ) -> dict[str, Any]:
        inputs = {name: model_inputs.pop(name) for name in ("input_ids", "attention_mask")}
        rows = len(inputs["input_ids"])
        output = self.model.generate(**inputs, **self._with_length_limit(inputs["attention_mask"], generate_kwargs))
        # (rows · answers, length) to (rows, answers, length); the base class takes the rows apart.
        outputs = {"output_ids": output.view(rows, -1, output.shape[1]), **model_inputs}
        if return_scores:
            from ..generation.log_probabilities import translation_log_probabilities

            outputs["scores"] = translation_log_probabilities(self.model, **inputs, sequences=outputs["output_ids"])
        return outputs

    def _with_length_limit(self, attention_mask: torch.Tensor, generate_kwargs: dict[str, Any]) -> dict[str, Any]:
        """The options for `generate`, with a limit for each sentence by its own length if nobody has set one."""
        # evaluation brings the libraries of metrics, which somebody who only imports transformers' pipelines can spare.
        from ..generation.length_penalty import SourceLengthLimit

        config = generate_kwargs.get("generation_config") or self.model.generation_config
        said = {**config.to_diff_dict(), **generate_kwargs}
        if said.get("max_length") is not None or said.get("max_new_tokens") is not None:
            return generate_kwargs
        lengths = attention_mask.sum(dim=1)
        longest = int(lengths.max()) + _MAX_EXTRA_TOKENS
        positions = getattr(self.model.config, "max_position_embeddings", None)
        own = SourceLengthLimit(lengths, _MAX_EXTRA_TOKENS)
        return {
            **generate_kwargs,
            "max_new_tokens": longest if positions is None else min(longest, positions - 1),
            "stopping_criteria": StoppingCriteriaList([*generate_kwargs.get("stopping_criteria", ()), own]),
        }

    def postprocess(
        self,
        outputs: list[dict[str, Any]],
        return_scores: bool = False,
        return_tensors: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[dict[str, Any]]:
        """One dict for each answer: the n-th best of a text is made of the n-th best of its sentences."""
        answers = []
        for rank in range(outputs[0]["output_ids"].shape[1]):
            ids = [output["output_ids"][0, rank] for output in outputs]
            answer: dict[str, Any] = {}
            if return_tensors:
                answer[f"{self.answer_name}_token_ids"] = ids
            else:
                texts = self.tokenizer.batch_decode(
                    ids, skip_special_tokens=True, clean_up_tokenization_spaces=clean_up_tokenization_spaces
                )
                answer[f"{self.answer_name}_text"] = join_sentences(
                    Sentence("" if output["blank"] else text, output["gap"]) for text, output in zip(texts, outputs)
                )
            if return_scores:
                answer["score"] = float(sum(output["scores"][0, rank] for output in outputs))
            answers.append(answer)
        return answers


class TranslationPipeline(Text2TextGenerationPipeline):
    """As `Text2TextGenerationPipeline`, with ``translation_text``: `pipeline("translation", model=...)`."""

    answer_name = "translation"


class SummarizationPipeline(Text2TextGenerationPipeline):
    """As `Text2TextGenerationPipeline`, with ``summary_text``: `pipeline("summarization", model=...)`.

    A text is not split, since the summary of a text is not the summaries of its sentences.
    """

    answer_name = "summary"
    default_split = "never"


def _check_texts(texts: Sequence[Any] | Iterable[Any]) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"The input must be a text or a list of texts, but there is a {type(text).__name__}.")
