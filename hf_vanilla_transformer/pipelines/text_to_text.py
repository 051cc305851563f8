"""Pipelines for encoder-decoders: translation, summarization and text2text-generation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import StoppingCriteriaList
from transformers.pipelines.base import ChunkPipeline

from .. import progress
from ..generation.length_penalty import SourceLengthLimit
from ..generation.log_probabilities import translation_log_probabilities
from .languages import language_id, set_source_language
from .sentence_splitting import Sentence, join_sentences, split_sentences

# Section 6.1 of the paper: the maximum output length is the input length + 50.
_MAX_EXTRA_TOKENS = 50
_PREPROCESS = ("src_lang", "tgt_lang", "prefix", "split", "truncation", "max_source_tokens")
_POSTPROCESS = ("return_scores", "return_tensors", "clean_up_tokenization_spaces")
_SPLITS = ("long", "sentences", "never")


class Text2TextGenerationPipeline(ChunkPipeline):
    """Generates text from text with an encoder-decoder.

    Use it through `pipeline("text2text-generation", model=...)` with any model of `AutoModelForSeq2SeqLM`.

    For a text, it returns a list with a dict for each answer, ``[{"generated_text": ...}]``. For a list of texts, it
    returns a list of dicts, or a list of lists if `num_return_sequences` is more than 1. For generators and data sets,
    it returns an iterator. The options below can be given when the pipeline is created, and in each call.

    Args:
        src_lang: code of the source language, for multilingual tokenizers (mBART, M2M100, NLLB).
        tgt_lang: code of the target language; the decoder begins with its token.
        prefix: text before each text, or before each sentence of a split text: ``">>fra<< "`` for Marian's
            multilingual models, ``"translate English to German: "`` for T5.
        split: ``long`` splits texts that are too long for the model into sentences, ``sentences`` splits all texts,
            ``never`` none. The answers are joined with the white space that was between the sentences.
        truncation: truncate sources that are still too long; if False, they raise an error.
        max_source_tokens: maximum number of source tokens; the model's number of positions if None.
        batch_size: number of sentences in a batch. A list of texts is sorted by length first.
        progress_bar: show a progress bar on standard error, for lists.
        return_scores: also return ``score``, the log-probability of the answer with its end token under the model.
        return_tensors: return ``generated_token_ids``, one tensor for each sentence, instead of text.
        **generate_kwargs: options of `generate`. If neither these nor the model's generation config limit the length
            of an answer, it may have 50 tokens more than its source, as in section 6.1 of the paper.

    Raises:
        ValueError: an option has an invalid value, the tokenizer does not know a language, or a text is too long.
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
                f"{type(self.model).__name__} is not an encoder-decoder with generate(), which {self.task!r} needs: "
                "load the model with AutoModelForSeq2SeqLM."
            )
        self.model.eval()
        self.progress_bar = progress_bar
        # A call with src_lang must not change the source language of the next call.
        self._own_language = getattr(self.tokenizer, "src_lang", None)

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Saves the model and the tokenizer. The code of the pipeline is not saved; this package provides it."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def __call__(self, inputs: Any, *args: Any, progress_bar: bool | None = None, **kwargs: Any) -> Any:
        """Returns the answers to `inputs`. The options are those of the class."""
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if not isinstance(inputs, list):
            return super().__call__(inputs, *args, **kwargs)
        _check_texts(inputs)
        progress_bar = self.progress_bar if progress_bar is None else progress_bar
        # Texts of similar length need little padding. The longest come first, so that a lack of memory shows at once.
        order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
        answers: list[Any] = [None] * len(inputs)
        # For a generator, the base class yields the results one by one.
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
            raise ValueError(f"split must be one of {', '.join(_SPLITS)}, not {split!r}.")
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
        """Yields the sentences of `text`: ids `(1, sequence)`, the gap after it, and whether it is the last."""
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
                    f"A text has {len(ids)} tokens, but at most {limit} are allowed: {sentence[:60]!r} ... Split it"
                    + (" with split='sentences'" if len(sentences) == 1 and split == "never" else "")
                    + ", or truncate it with truncation=True."
                )
            if limit and len(ids) > limit:
                ids = self._ids(prefix + sentence, truncation=True, max_length=limit)
            # The model needs at least one token; the answer to an empty text is discarded.
            input_ids = torch.tensor([ids or [self.tokenizer.pad_token_id]])
            yield {
                "input_ids": input_ids,
                "attention_mask": torch.ones_like(input_ids),
                "blank": not sentence.strip(),
                "gap": gap,
                "is_last": number == len(sentences),
            }

    def _ids(self, text: str, **options: Any) -> list[int]:
        # No warning for long texts: they are split, truncated or rejected later.
        return self.tokenizer(text, verbose=False, **options)["input_ids"]

    def _forward(
        self, model_inputs: dict[str, Any], return_scores: bool = False, **generate_kwargs: Any
    ) -> dict[str, Any]:
        inputs = {name: model_inputs.pop(name) for name in ("input_ids", "attention_mask")}
        rows = len(inputs["input_ids"])
        output = self.model.generate(**inputs, **self._with_length_limit(inputs["attention_mask"], generate_kwargs))
        # (rows · answers, sequence) to (rows, answers, sequence); the base class splits the rows.
        outputs = {"output_ids": output.view(rows, -1, output.shape[1]), **model_inputs}
        if return_scores:
            outputs["scores"] = translation_log_probabilities(self.model, **inputs, sequences=outputs["output_ids"])
        return outputs

    def _with_length_limit(self, attention_mask: torch.Tensor, generate_kwargs: dict[str, Any]) -> dict[str, Any]:
        """The options for `generate`, with a limit for each sentence by its length if none is set."""
        config = generate_kwargs.get("generation_config") or self.model.generation_config
        options = {**config.to_diff_dict(), **generate_kwargs}
        if options.get("max_length") is not None or options.get("max_new_tokens") is not None:
            return generate_kwargs
        lengths = attention_mask.sum(dim=1)
        longest = int(lengths.max()) + _MAX_EXTRA_TOKENS
        positions = getattr(self.model.config, "max_position_embeddings", None)
        length_limit = SourceLengthLimit(lengths, _MAX_EXTRA_TOKENS)
        return {
            **generate_kwargs,
            "max_new_tokens": longest if positions is None else min(longest, positions - 1),
            "stopping_criteria": StoppingCriteriaList([*generate_kwargs.get("stopping_criteria", ()), length_limit]),
        }

    def postprocess(
        self,
        outputs: list[dict[str, Any]],
        return_scores: bool = False,
        return_tensors: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[dict[str, Any]]:
        """One dict for each answer. The n-th best answer to a text is joined from the n-th best of its sentences."""
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
    """Translates text: a `Text2TextGenerationPipeline` that returns ``translation_text``.

    Use it through `pipeline("translation", model=...)`.
    """

    answer_name = "translation"


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Summarizes text: a `Text2TextGenerationPipeline` that returns ``summary_text``.

    Use it through `pipeline("summarization", model=...)`. Texts are not split by default, because the summaries of the
    sentences are not a summary of the text.
    """

    answer_name = "summary"
    default_split = "never"


def _check_texts(texts: Sequence[Any] | Iterable[Any]) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"The input must be a text or a list of texts, but it contains a {type(text).__name__}.")
