"""Extractive question answering: the span of a context that answers a question (Devlin et al. 2019, section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.pipelines.base import ChunkPipeline

from ..generation.answer_spans import AnswerWindow, best_spans, complete_offsets
from ..inference.flat_encoder import skipped_padding

_PREPROCESS = ("doc_stride", "max_seq_len")
_POSTPROCESS = ("top_k", "max_answer_len", "handle_impossible_answer")


class QuestionAnsweringPipeline(ChunkPipeline):
    """Finds the answer to a question in a context.

    Use it through `pipeline("question-answering", model=...)` with any model of `AutoModelForQuestionAnswering` and a
    fast tokenizer. For ``question=`` and ``context=``, or a dict of both, it returns
    ``{"score", "start", "end", "answer"}``, where `start` and `end` count characters of the context. It returns a list
    of these dicts for `top_k` above 1, and a list with an item for each question for a list of dicts.

    A context that is too long is split into overlapping windows. The score of an answer is the probability of its first
    token times that of its last, each a softmax over the context in all windows.

    Args:
        top_k: number of answers, 1 by default; there are fewer if the context has fewer spans.
        max_answer_len: maximum number of tokens of an answer, 30 by default.
        handle_impossible_answer: also consider the empty answer, with the logits of the first token (SQuAD 2.0).
        max_seq_len: number of tokens of a window with its question; the model's number of positions if None.
        doc_stride: number of tokens that two windows share; at most a quarter of a window if None.

    Raises:
        ValueError: a question or a context is missing or empty, an option is out of its range, or the question leaves
            no room for the context in a window.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.tokenizer.is_fast:
            raise ValueError(f"{type(self.tokenizer).__name__} has no token offsets: use a fast tokenizer.")
        self.model.eval()

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Saves the model and the tokenizer. The code of the pipeline is not saved; this package provides it."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def __call__(
        self, inputs: Any = None, *, question: str | list[str] | None = None, context: Any = None, **kwargs: Any
    ) -> Any:
        """Returns the answers. The options are those of the class."""
        if inputs is None:
            if isinstance(question, list):
                contexts = context if isinstance(context, list) else [context] * len(question)
                if len(contexts) != len(question):
                    raise ValueError(f"There are {len(question)} questions but {len(contexts)} contexts.")
                inputs = [{"question": one, "context": text} for one, text in zip(question, contexts)]
            else:
                inputs = {"question": question, "context": context}
        if isinstance(inputs, (list, tuple)) and not inputs:
            return []
        return super().__call__(list(inputs) if isinstance(inputs, tuple) else inputs, **kwargs)

    def _sanitize_parameters(self, **parameters: Any) -> tuple[dict, dict, dict]:
        preprocess = {name: parameters.pop(name) for name in _PREPROCESS if name in parameters}
        postprocess = {name: parameters.pop(name) for name in _POSTPROCESS if name in parameters}
        if parameters:
            raise ValueError(
                f"question-answering has no option {', '.join(sorted(parameters))}; it has "
                f"{', '.join(_PREPROCESS + _POSTPROCESS)}."
            )
        if postprocess.get("top_k", 1) < 1:
            raise ValueError(f"top_k={postprocess['top_k']} must be at least 1.")
        if postprocess.get("max_answer_len", 1) < 1:
            raise ValueError(f"max_answer_len={postprocess['max_answer_len']} must be at least 1 token.")
        return preprocess, {}, postprocess

    def preprocess(
        self, example: dict[str, str], doc_stride: int | None = None, max_seq_len: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The windows of an example. `offsets` has the characters of the context for each token, (-1, -1) outside."""
        question, context = (_text(example, name) for name in ("question", "context"))
        limits = (getattr(self.model.config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        length = max_seq_len or min(limit for limit in limits if limit)
        room = length - len(self.tokenizer(question, "")["input_ids"])
        if room < 1:
            raise ValueError(
                f"A window of {length} tokens (max_seq_len) has no room for the context beside question={question!r}."
            )
        windows = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=length,
            stride=min(length // 4, room // 2) if doc_stride is None else doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=True,
        )
        count = len(windows["input_ids"])
        for index in range(count):
            inside = [sequence == 1 for sequence in windows.sequence_ids(index)]
            offsets = [offset if here else (-1, -1) for offset, here in zip(windows["offset_mapping"][index], inside)]
            names = {*self.tokenizer.model_input_names, "attention_mask"} & windows.keys()
            inputs = {name: torch.tensor([windows[name][index]]) for name in names}
            yield {**inputs, "offsets": offsets, "context": context, "is_last": index == count - 1}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        rest = {name: model_inputs.pop(name) for name in ("offsets", "context", "is_last")}
        with skipped_padding():  # spans of an answer have none
            outputs = self.model(**model_inputs)
        return {
            "start_logits": outputs.start_logits,
            "end_logits": outputs.end_logits,
            "attention_mask": model_inputs["attention_mask"],
            **rest,
        }

    def postprocess(
        self,
        windows: list[dict[str, Any]],
        top_k: int = 1,
        max_answer_len: int = 30,
        handle_impossible_answer: bool = False,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The `top_k` best answers of an example; one dict for `top_k=1`, otherwise a list."""
        context = windows[0]["context"]
        answer_windows = []
        for window in windows:
            # A batch is padded on the tokenizer's side; without padding the logits are in the order of `offsets`.
            real = window["attention_mask"][0].bool()
            start_logits, end_logits = (
                window[name][0][real].float().numpy() for name in ("start_logits", "end_logits")
            )
            offsets = [(begin, stop) if stop > begin >= 0 else None for begin, stop in window["offsets"]]
            answer_windows.append(AnswerWindow(start_logits, end_logits, complete_offsets(context, offsets)))
        spans = best_spans(
            context,
            answer_windows,
            top_k=top_k,
            max_answer_tokens=max_answer_len,
            allow_empty=handle_impossible_answer,
        )
        answers = [
            {"score": span.probability, "start": span.start, "end": span.end, "answer": context[span.start : span.end]}
            for span in spans
        ]
        return answers[0] if top_k == 1 else answers


def _text(example: Any, name: str) -> str:
    text = example.get(name) if isinstance(example, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"question-answering needs a text as question and as context, but {name}={text!r}.")
    return text
