"""Extractive question answering: the part of a text that answers a question (Devlin et al. 2019, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from transformers.pipelines.base import ChunkPipeline

_PREPROCESS = ("doc_stride", "max_seq_len")
_POSTPROCESS = ("top_k", "max_answer_len", "handle_impossible_answer")


class QuestionAnsweringPipeline(ChunkPipeline):
    """Where in a context a question is answered.

    Use it through `pipeline("question-answering", model=...)`; every model of `AutoModelForQuestionAnswering` with a
    fast tokenizer will do. Called with ``question=`` and ``context=``, or with a dict of both, it gives
    ``{"score", "start", "end", "answer"}``, where `start` and `end` are places in the context; with `top_k` above 1 a
    list of them; with a list of dicts a list of either.

    A context that is too long is read in windows that overlap. The score of an answer is the probability of its first
    token times that of its last, each a softmax over the context in all windows.

    Args:
        top_k: how many answers; there are fewer if the context has fewer spans.
        max_answer_len: most tokens of an answer.
        handle_impossible_answer: the empty answer may win, by the score of the first token of the input (SQuAD 2.0).
        max_seq_len: tokens of a window, question included; as many as the model has positions if None.
        doc_stride: tokens that two windows share; a quarter of a window at most by default.

    Raises:
        ValueError: a question or a context is missing or empty, or the question alone fills a window.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.tokenizer.is_fast:
            raise ValueError(f"{type(self.tokenizer).__name__} cannot say where answers lie: use a fast tokenizer.")
        self.model.eval()

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Saves the model and the tokenizer; the pipeline is no part of them, and its code need not travel along."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def __call__(
        self, inputs: Any = None, *, question: str | list[str] | None = None, context: Any = None, **kwargs: Any
    ) -> Any:
        """Answers; the options are those of the class."""
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
            raise ValueError(f"question-answering has no option {', '.join(sorted(parameters))}.")
        if postprocess.get("top_k", 1) < 1:
            raise ValueError(f"top_k={postprocess['top_k']} is no number of answers: give at least 1.")
        return preprocess, {}, postprocess

    def preprocess(
        self, example: dict[str, str], doc_stride: int | None = None, max_seq_len: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The windows of an example; `places` `(1, length, 2)` says what each token covers in the context, or -1."""
        question, context = (_text(example, name) for name in ("question", "context"))
        limits = (getattr(self.model.config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        length = max_seq_len or min(limit for limit in limits if limit)
        room = length - len(self.tokenizer(question, "")["input_ids"])
        if room < 1:
            raise ValueError(f"A window of {length} tokens has no room beside the question {question!r}.")
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
            places = [place if here else (-1, -1) for place, here in zip(windows["offset_mapping"][index], inside)]
            names = {*self.tokenizer.model_input_names, "attention_mask"} & windows.keys()
            inputs = {name: torch.tensor([windows[name][index]]) for name in names}
            yield {**inputs, "places": places, "context": context, "is_last": index == count - 1}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        rest = {name: model_inputs.pop(name) for name in ("places", "context", "is_last")}
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
        """The best spans of all windows of an example."""
        context = windows[0]["context"]
        starts, ends, places, nothing = [], [], [], []
        for window in windows:
            # A batch is padded on the tokenizer's side; what is left without padding is in the order of `places`.
            real = window["attention_mask"][0].bool()
            start, end = window["start_logits"][0][real].float(), window["end_logits"][0][real].float()
            nothing.append((start[0], end[0]))
            keep = torch.tensor([place[1] > place[0] >= 0 for place in window["places"]])
            starts.append(start[keep])
            ends.append(end[keep])
            places.append([place for place, kept in zip(window["places"], keep.tolist()) if kept])
        # The empty answer counts as much as the window that believes in it least.
        no_start, no_end = min(nothing, key=sum)
        impossible = ([no_start[None]], [no_end[None]]) if handle_impossible_answer else ([], [])
        start_norm = torch.cat(starts + impossible[0]).logsumexp(0)
        end_norm = torch.cat(ends + impossible[1]).logsumexp(0)
        best: dict[tuple[int, int], float] = {}
        for start, end, where in zip(starts, ends, places):
            # (length, length) of spans from row to column, no longer than allowed
            scores = (start - start_norm)[:, None] + (end - end_norm)[None, :]
            allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(max_answer_len - 1)
            scores = scores.masked_fill(~allowed, -torch.inf).flatten()
            values, indices = scores.topk(min(len(scores), top_k))
            for value, index in zip(values.tolist(), indices.tolist()):
                if value == -torch.inf:
                    continue
                span = _without_space(context, where[index // len(where)][0], where[index % len(where)][1])
                best[span] = max(value, best.get(span, -torch.inf))
        answers = [(value, *span) for span, value in best.items()]
        if handle_impossible_answer:
            answers.append((float(no_start - start_norm + no_end - end_norm), 0, 0))
        answers.sort(key=lambda answer: (-answer[0], answer[1:]))
        found = [
            {"score": math.exp(value), "start": begin, "end": stop, "answer": context[begin:stop]}
            for value, begin, stop in answers[:top_k]
        ]
        return found[0] if top_k == 1 else found


def _text(example: Any, name: str) -> str:
    text = example.get(name) if isinstance(example, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"question-answering needs a question and a context, both texts; the {name} is {text!r}.")
    return text


def _without_space(context: str, begin: int, stop: int) -> tuple[int, int]:
    """The span without the white space that some tokenizers count to a word."""
    text = context[begin:stop]
    return begin + len(text) - len(text.lstrip()), stop - len(text) + len(text.rstrip())
