"""Extractive question answering: the span of a passage that answers a question (Devlin et al. 2019, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from ....data.readers.questions import load_questions
from ....evaluation import load_metric
from ....generation.answer_spans import AnswerWindow, best_spans, complete_offsets
from ...recipes.finetuning_recipe import FinetuneRecipe
from ..base_model import BaseModel, require_stack
from ..encoded_rows import longest_row, outputs_by_length
from ..heads import head_model
from ..labelled_rows import read_splits
from ..task import Prediction, Splits, Task


class QuestionAnswering(Task):
    """Encodes question and passage together; the head predicts the first and the last token of the answer.

    A long passage is read in windows, because the answer may be anywhere in it, unless `text_length.too_long` is
    ``refuse``. If training rows have questions without an answer, the empty answer may be predicted.
    """

    name = "question_answering"
    stacks = ("encoder", "decoder")
    main_metric = "f1"

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__(recipe)
        self._limit = 0
        self._segments = False
        self._may_be_none = False

    def load(self) -> Splits:
        """Reads questions, passages and answers."""
        data = self.recipe.data

        def read(source: Any, split: str) -> Any:
            return load_questions(
                source,
                question_column=data.question,
                context_column=data.context,
                answers_column=data.answers,
                split=split,
                config_name=data.config,
                on_bad_row=data.on_bad_row,
            )

        return read_splits(data, read)

    def fit_labels(self, splits: Splits) -> None:
        """Checks whether there are questions without an answer. There are no names of labels."""
        self._may_be_none = any(not answers for answers in splits.train["answers"])

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with a head for the first and the last token of an answer."""
        require_stack(base_model, self.stacks, self.name)
        self._limit = longest_row(self.recipe.text_length, base_model)
        self._segments = base_model.stack == "encoder" and base_model.config.type_vocab_size > 1
        return head_model(self.recipe, base_model, "AutoModelForQuestionAnswering")

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """One row per window that contains the answer; questions without an answer have the first token as label."""
        windows = self._windows(rows, tokenizer)
        columns: dict[str, list[Any]] = {name: [] for name in self._inputs(windows, tokenizer)}
        columns |= {"start_positions": [], "end_positions": [], "length": []}
        answers, starts, contexts = (list(rows[name]) for name in ("answers", "starts", "context"))
        for index, row in enumerate(windows["overflow_to_sample_mapping"]):
            if answers[row]:
                begin = starts[row][0]
                ends = _tokens_of(self._offsets(windows, index, contexts[row]), begin, begin + len(answers[row][0]))
            else:
                ends = (0, 0)
            if ends is None and not self._may_be_none:
                continue  # if every question has an answer, a window without it has no label
            first, last = ends or (0, 0)
            for name in self._inputs(windows, tokenizer):
                columns[name].append(windows[name][index])
            columns["start_positions"].append(first)
            columns["end_positions"].append(last)
            columns["length"].append(len(windows["input_ids"][index]))
        if not columns["length"]:
            raise ValueError(f"No window of {self._limit} tokens contains an answer; raise text_length.max_tokens.")
        return datasets.Dataset.from_dict(columns)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Pads rows on the right, which keeps the positions of answers."""
        return _RightPadding(tokenizer)

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """The most probable answer over all windows of each passage."""
        windows = self._windows(rows, tokenizer)
        contexts = list(rows["context"])
        names = self._inputs(windows, tokenizer)
        inputs = [dict(zip(names, values)) for values in zip(*(windows[name] for name in names))]
        answer_windows: list[list[AnswerWindow]] = [[] for _ in range(len(rows))]
        batches = outputs_by_length(
            model,
            inputs,
            [len(row["input_ids"]) for row in inputs],
            self.collator(tokenizer),
            batch_size=self.recipe.evaluation.per_device_eval_batch_size,
            progress=progress,
        )
        for numbers, outputs in batches:
            logits = zip(numbers, outputs.start_logits.float().cpu().numpy(), outputs.end_logits.float().cpu().numpy())
            for number, start, end in logits:
                row = windows["overflow_to_sample_mapping"][number]
                offsets = self._offsets(windows, number, contexts[row])
                answer_windows[row].append(AnswerWindow(start[: len(offsets)], end[: len(offsets)], offsets))
        predictions = []
        for row, parts in zip(rows, answer_windows):
            span = best_spans(row["context"], parts, allow_empty=self._may_be_none)[0]
            predictions.append(
                Prediction(
                    [row["question"], row["context"]],
                    row["answers"][0] if row["answers"] else "",
                    row["context"][span.start : span.end],
                    span.probability,
                    extra={"answers": row["answers"], "start": span.start, "windows": len(parts)},
                )
            )
        return predictions

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Exact match and F1 by the rules of SQuAD."""
        return load_metric("exact_match").compute(
            predictions=[one.predicted for one in predictions], references=[one.extra["answers"] for one in predictions]
        )

    def _windows(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> Any:
        questions, contexts = list(rows["question"]), list(rows["context"])
        room = self._limit - tokenizer.num_special_tokens_to_add(pair=True)
        lengths = [len(ids) for ids in tokenizer(questions, add_special_tokens=False, verbose=False)["input_ids"]]
        if max(lengths) >= room // 2:
            row = int(np.argmax(lengths))
            raise ValueError(
                f"The question {questions[row][:60]!r} has {lengths[row]} tokens, half of a window of {self._limit} or "
                "more; shorten it, or raise text_length.max_tokens."
            )
        overlap = self.recipe.text_length.overlap
        overlap = min(self._limit // 4, (room - max(lengths)) // 2) if overlap is None else overlap
        windows = tokenizer(
            questions,
            contexts,
            truncation="only_second",
            max_length=self._limit,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        if self.recipe.text_length.too_long == "refuse" and len(windows["input_ids"]) > len(questions):
            mapping = windows["overflow_to_sample_mapping"]
            row = next(one for one in mapping if mapping.count(one) > 1)
            raise ValueError(
                f"The passage of row {row} and its question exceed {self._limit} tokens, and text_length.too_long is "
                "refuse; shorten the passage, or set text_length.too_long to window."
            )
        return windows

    def _inputs(self, windows: Any, tokenizer: PreTrainedTokenizerBase) -> list[str]:
        arguments = ["input_ids", "attention_mask", *(["token_type_ids"] if self._segments else [])]
        return [name for name in arguments if name in windows]

    def _offsets(self, windows: Any, index: int, context: str) -> list[tuple[int, int] | None]:
        """Character offsets of each token in the passage; None for other tokens."""
        sequences = windows.sequence_ids(index)
        offsets = zip(sequences, windows["offset_mapping"][index])
        inside = [tuple(offset) if part == 1 and offset[1] > offset[0] else None for part, offset in offsets]
        return complete_offsets(context, inside)


class _RightPadding:
    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        side, self.tokenizer.padding_side = self.tokenizer.padding_side, "right"
        try:
            return self._pad(rows)
        finally:
            self.tokenizer.padding_side = side


def _tokens_of(offsets: Sequence[tuple[int, int] | None], begin: int, end: int) -> tuple[int, int] | None:
    """The first and the last token of the characters from `begin` to `end`; None if some are outside the window."""
    inside = [index for index, offset in enumerate(offsets) if offset is not None]
    if not inside or offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < end:
        return None
    touched = [index for index in inside if offsets[index][1] > begin and offsets[index][0] < end]
    return (touched[0], touched[-1]) if touched else None


__all__ = ["QuestionAnswering"]
