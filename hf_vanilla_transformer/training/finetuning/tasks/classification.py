"""Classification of a text or a pair of texts: one class, several classes, or a number (regression)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from ....data.long_texts import EncodedTexts, encode_texts, vote
from ....data.readers.labelled import load_labelled
from ....data.readers.labels import Labels, fit_labels
from ....evaluation import load_metric
from ...recipes.finetuning_recipe import FinetuneRecipe
from ..base_model import BaseModel, require_stack
from ..encoded_rows import longest_row, outputs_by_length
from ..heads import classification_model
from ..labelled_rows import csv_format, read_splits
from ..task import Prediction, Splits, Task

_KINDS = {"single_label": "single", "multi_label": "multi", "regression": "regression"}

# A class of a multi-label task is predicted at this probability or above.
_THRESHOLD = 0.5


def _sides(rows: datasets.Dataset) -> tuple[str, ...]:
    """The arguments of `load_labelled` that name the columns of its rows."""
    pair = ("pair_column",) if "text_pair" in rows.column_names else ()
    return ("text_column", *pair, "label_column")


class Classification(Task):
    """One label per text, or per pair of texts if `data.text_pair` is set. `head.problem` decides the kind of label."""

    name = "classification"
    stacks = ("encoder", "decoder")
    main_metric = "accuracy"

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__(recipe)
        self.kind = _KINDS[recipe.head.problem]
        self.main_metric = {"single": "accuracy", "multi": "f1", "regression": "pearson"}[self.kind]
        self.known: Labels | None = None
        self._segments = False
        self._limit = 0

    def load(self) -> Splits:
        """Reads texts and the labels as strings."""
        data = self.recipe.data
        columns = {"text_column": data.text, "pair_column": data.text_pair, "label_column": data.label}

        def read(source: Any, split: str) -> Any:
            rows, report = load_labelled(
                source,
                **columns,
                split=split,
                config_name=data.config,
                csv_format=csv_format(data),
                empty_labels=self.kind == "multi",
                on_bad_row=data.on_bad_row,
            )
            # The other splits have the columns of the training split, which is read first.
            columns.update(zip(_sides(rows), report.columns))
            return rows, report

        return read_splits(data, read, column="label" if self.kind == "single" else None)

    def fit_labels(self, splits: Splits) -> None:
        """Collects the names of the classes from the training rows; encodes the labels of all splits as numbers."""
        data = self.recipe.data
        self.known = fit_labels(
            splits.train, self.kind, separator=data.label_separator, on_bad_label=data.on_bad_label
        )  # fmt: skip
        self.labels = list(self.known.names)
        self.notes += self.known.warnings
        for split in ("train", "validation", "test"):
            rows = getattr(splits, split)
            if rows is not None:
                rows, report = self.known.encode(rows, split=split, on_bad_label=data.on_bad_label)
                setattr(splits, split, rows)
                splits.reports.append(report)

    def classes(self, rows: datasets.Dataset) -> list[Any] | None:
        """The class of each row; None for several labels or numbers."""
        return list(rows["label"]) if self.kind == "single" else None

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with a classifier."""
        require_stack(base_model, self.stacks, self.name)
        self._limit = longest_row(self.recipe.text_length, base_model)
        self._segments = base_model.stack == "encoder" and base_model.config.type_vocab_size > 1
        names = dict(enumerate(self.labels)) if self.labels else {0: "value"}
        return classification_model(self.recipe, base_model, names, self.known.problem_type)

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """One row per window, each with the label of its text."""
        encoded = self._encoded(rows, tokenizer)
        labels = list(rows["label"])
        columns = dict(encoded.columns)
        columns["labels"] = [labels[text] for text in encoded.texts]
        columns["length"] = [len(ids) for ids in columns["input_ids"]]
        return datasets.Dataset.from_dict(columns)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Pads rows to the longest of the batch."""
        return DataCollatorWithPadding(tokenizer)

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """Probabilities of all classes; for a long text, the mean over its windows."""
        encoded = self._encoded(rows, tokenizer)
        names = list(encoded.columns)
        inputs = [dict(zip(names, values)) for values in zip(*encoded.columns.values())]
        scores = np.zeros((len(inputs), model.config.num_labels))
        batches = outputs_by_length(
            model,
            inputs,
            [len(row["input_ids"]) for row in inputs],
            self.collator(tokenizer),
            batch_size=self.recipe.evaluation.per_device_eval_batch_size,
            progress=progress,
        )
        for numbers, outputs in batches:
            scores[numbers] = self._probabilities(outputs.logits).cpu().numpy()
        voted = vote(scores, encoded.texts, len(rows))
        return self.predictions(rows, voted, np.bincount(encoded.texts, minlength=len(rows)))

    def predictions(
        self, rows: datasets.Dataset, scores: np.ndarray, windows: Sequence[int] | None = None
    ) -> list[Prediction]:
        """Predictions from the scores of any model.

        Args:
            rows: with labels as numbers.
            scores: (rows, labels) probabilities of the classes, or numbers.
            windows: number of windows in which each text was read; None is one.
        """
        pairs = rows["text_pair"] if "text_pair" in rows.column_names else [None] * len(rows)
        return [
            self._prediction(text if pair is None else [text, pair], label, row, int(count))
            for text, pair, label, row, count in zip(
                rows["text"], pairs, rows["label"], scores, [1] * len(rows) if windows is None else windows
            )
        ]

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores of the kind of problem, and the loss of the probabilities averaged over windows."""
        gold, predicted = [one.gold for one in predictions], [one.predicted for one in predictions]
        if self.kind == "regression":
            scores = load_metric("regression_scores").compute(predictions=predicted, references=gold)
            return {**scores, "loss": scores["mse"]}
        table = np.array([[one.probabilities[name] for name in self.labels] for one in predictions])
        if self.kind == "single":
            gold_probabilities = table[np.arange(len(gold)), [self.labels.index(name) for name in gold]]
            metric = load_metric("classification_scores", labels=self.labels)
            loss = float(-_log(gold_probabilities).mean())
            return {**metric.compute(predictions=predicted, references=gold), "loss": loss}
        present = np.array([[name in row for name in self.labels] for row in gold])
        loss = -np.where(present, _log(table), _log(1 - table)).mean()
        metric = load_metric("multi_label_scores", labels=self.labels)
        return {**metric.compute(predictions=predicted, references=gold), "loss": float(loss)}

    def _encoded(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> EncodedTexts:
        length = self.recipe.text_length
        encoded = encode_texts(
            tokenizer,
            list(rows["text"]),
            list(rows["text_pair"]) if "text_pair" in rows.column_names else None,
            max_length=self._limit,
            long=length.too_long,
            stride=length.overlap,
        )
        if not self._segments:
            encoded.columns.pop("token_type_ids", None)
        return encoded

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.double()
        if self.kind == "single":
            return logits.softmax(-1)
        return logits.sigmoid() if self.kind == "multi" else logits

    def _prediction(self, text: Any, label: Any, scores: np.ndarray, windows: int) -> Prediction:
        extra = {"windows": windows} if windows > 1 else {}
        if self.kind == "regression":
            return Prediction(text, float(label), float(scores[0]), extra=extra)
        probabilities = dict(zip(self.labels, scores.tolist()))
        if self.kind == "single":
            best = int(scores.argmax())
            return Prediction(text, self.labels[label], self.labels[best], float(scores[best]), probabilities, extra)
        gold = [name for name, present in zip(self.labels, label) if present]
        predicted = [name for name, score in probabilities.items() if score >= _THRESHOLD]
        # Joint probability of the decisions on all classes, which are independent.
        joint = float(np.prod(np.maximum(scores, 1 - scores)))
        return Prediction(text, gold, predicted, joint, probabilities, extra)


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


__all__ = ["Classification"]
