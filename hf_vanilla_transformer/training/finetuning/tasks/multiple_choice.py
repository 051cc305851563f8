"""Multiple choice: selects one of several continuations of a text, or of several answers to a question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ....data.long_texts import encode_texts
from ....data.readers.choices import load_choices
from ....evaluation import load_metric
from ...recipes.finetuning_recipe import FinetuneRecipe
from ..base_model import BaseModel, require_stack
from ..encoded_rows import longest_row, outputs_by_length, refuse_windows
from ..heads import head_model, pooling_of
from ..labelled_rows import read_splits
from ..task import Prediction, Splits, Task


class MultipleChoice(Task):
    """Scores each choice together with the question, and predicts the choice with the highest score.

    All training rows must have the same number of choices; other rows may have fewer or more. Windows are not
    supported: long rows are truncated or refused.
    """

    name = "multiple_choice"
    stacks = ("encoder",)
    main_metric = "accuracy"

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__(recipe)
        refuse_windows(recipe.text_length, self.name)
        self._limit = 0
        self._segments = False

    def load(self) -> Splits:
        """Reads questions, choices, and the number of the correct choice."""
        data = self.recipe.data

        def read(source: Any, split: str) -> Any:
            return load_choices(
                source,
                question_column=data.question,
                choices_columns=data.choices,
                label_column=data.label or "label",
                split=split,
                config_name=data.config,
                on_bad_row=data.on_bad_row,
            )

        return read_splits(data, read)

    def fit_labels(self, splits: Splits) -> None:
        """Checks the number of choices. There are no names of labels."""
        counts = Counter(map(len, splits.train["choices"]))
        if len(counts) > 1:
            shown = ", ".join(f"{number} in {rows:,} rows" for number, rows in counts.most_common(4))
            raise ValueError(f"data.choices must have the same number of choices in all training rows, not {shown}.")
        answers = set(splits.train["label"])
        if len(answers) == 1:
            self.notes.append(f"In every training row, choice {answers.pop() + 1} is the correct one.")

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with one score per text."""
        require_stack(base_model, self.stacks, self.name)
        self._limit = longest_row(self.recipe.text_length, base_model)
        self._segments = base_model.config.type_vocab_size > 1
        pooling = pooling_of(self.recipe, base_model)
        return head_model(self.recipe, base_model, "AutoModelForMultipleChoice", classifier_pooling=pooling)

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """Lists of ids, one per choice."""
        encoded = self._encoded(rows, tokenizer)
        columns = {name: [row[name] for row in encoded] for name in encoded[0]}
        columns["labels"] = list(rows["label"])
        columns["length"] = [sum(map(len, row["input_ids"])) for row in encoded]
        return datasets.Dataset.from_dict(columns)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Pads all choices of all rows to one length."""
        return ChoiceCollator(tokenizer)

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """Probabilities of the choices."""
        encoded = self._encoded(rows, tokenizer)
        counts = [len(row["input_ids"]) for row in encoded]
        # Sorts by the number of choices first, so that batches contain few padded choices.
        lengths = [1_000_000 * count + max(map(len, row["input_ids"])) for count, row in zip(counts, encoded)]
        scores: list[np.ndarray] = [np.zeros(0)] * len(encoded)
        batches = outputs_by_length(
            model,
            encoded,
            lengths,
            self.collator(tokenizer),
            batch_size=max(1, self.recipe.evaluation.per_device_eval_batch_size // max(counts)),
            progress=progress,
        )
        for numbers, outputs in batches:
            for number, logits in zip(numbers, outputs.logits.double().cpu()):
                scores[number] = logits[: counts[number]].softmax(-1).numpy()
        predictions = []
        for row, probabilities in zip(rows, scores):
            best = int(probabilities.argmax())
            extra = {
                "choices": row["choices"],
                "probabilities": probabilities.tolist(),
                "gold_number": row["label"],
                "predicted_number": best,
            }
            choices, gold = row["choices"], row["label"]
            predictions.append(
                Prediction(row["question"], choices[gold], choices[best], float(probabilities[best]), extra=extra)
            )
        return predictions

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Accuracy and loss."""
        accuracy = load_metric("accuracy").compute(
            predictions=[str(one.extra["predicted_number"]) for one in predictions],
            references=[str(one.extra["gold_number"]) for one in predictions],
        )
        gold = np.array([one.extra["probabilities"][one.extra["gold_number"]] for one in predictions])
        loss = -np.log(np.maximum(gold, np.finfo(np.float64).tiny)).mean()
        return {**accuracy, "loss": float(loss)}

    def _encoded(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[list[int]]]]:
        questions = [row["question"] for row in rows for _ in row["choices"]]
        choices = [choice for row in rows for choice in row["choices"]]
        encoded = encode_texts(
            tokenizer, questions, choices, max_length=self._limit, long=self.recipe.text_length.too_long
        )
        if not self._segments:
            encoded.columns.pop("token_type_ids", None)
        by_row, begin = [], 0
        for row in rows:
            end = begin + len(row["choices"])
            by_row.append({name: values[begin:end] for name, values in encoded.columns.items()})
            begin = end
        return by_row


class ChoiceCollator:
    """Makes tensors `(rows, choices, length)` from rows of lists.

    A row with fewer choices than others of the batch repeats its first choice; ignore the scores of these repetitions.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        names = [name for name in rows[0] if name not in ("labels", "length")]
        most = max(len(row["input_ids"]) for row in rows)
        flat = []
        for row in rows:
            for choice in range(most):
                taken = choice if choice < len(row["input_ids"]) else 0
                flat.append({name: row[name][taken] for name in names})
        batch = self.tokenizer.pad(flat, return_tensors="pt")
        made = {name: value.view(len(rows), most, -1) for name, value in batch.items()}
        if "labels" in rows[0]:
            made["labels"] = torch.tensor([row["labels"] for row in rows])
        return made


__all__ = ["ChoiceCollator", "MultipleChoice"]
