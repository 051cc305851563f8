"""The interface of a fine-tuning task, which one run trains, scores and reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import datasets
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...data import RowReport
from ..recipes.finetuning_recipe import FinetuneRecipe
from .base_model import BaseModel


@dataclass
class Splits:
    """The rows of a task.

    Attributes:
        train, validation, test: data sets with the columns of the task; None for a missing split.
        reports: counts of rows that were left out, one per split.
    """

    train: datasets.Dataset
    validation: datasets.Dataset | None = None
    test: datasets.Dataset | None = None
    reports: list[RowReport] = field(default_factory=list)


@dataclass
class Prediction:
    """The gold answer and the prediction for one row: a line of predictions_{split}.jsonl.

    Attributes:
        text: input of the model: a text, or its tokens.
        gold: the correct answer in readable form: a label, a number, labels, a text or heads; None if unknown.
        predicted: the model's answer, in the same form.
        probability: of the model's answer; None if the task has no probabilities.
        probabilities: of every label by name, for tasks with few labels.
        extra: further values that the report of this task shows.
    """

    text: str | list[str]
    gold: Any
    predicted: Any
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary of plain values, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != {}}


class Task(ABC):
    """A task of `hf-vanilla finetune`. The run calls the methods in the order of their definition here.

    Args:
        recipe: of the fine-tuning; a task reads only its own fields.

    Attributes:
        name: value of `recipe.task`.
        stacks: supported base models: `encoder`, `decoder`, `encoder_decoder`.
        main_metric: the score among `metrics` that decides which model is best.
        higher_is_better: whether a higher main metric is better.
        labels: names in the order of the model's outputs, set by `fit_labels`; empty for tasks without labels.
        notes: remarks on the data for the report, in addition to the counts of rows that were left out.
    """

    name: ClassVar[str]
    stacks: ClassVar[tuple[str, ...]]
    main_metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True

    def __init__(self, recipe: FinetuneRecipe) -> None:
        self.recipe = recipe
        self.labels: list[str] = []
        self.notes: list[str] = []

    @abstractmethod
    def load(self) -> Splits:
        """Reads the splits, and leaves out and counts bad rows.

        Raises:
            FileNotFoundError: the data or its training split does not exist.
            ValueError: a column is missing or of the wrong type, or no row is valid.
        """

    @abstractmethod
    def fit_labels(self, splits: Splits) -> None:
        """Collects the names of the labels from the training rows, and checks the other splits against them."""

    def classes(self, rows: datasets.Dataset) -> list[Any] | None:
        """The class of each row, which `data.max_labels` balances; None if rows have no single class."""
        return None

    @abstractmethod
    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with the head of this task; called after `fit_labels`.

        Raises:
            ValueError: the task does not support the stack of the base model.
        """

    @abstractmethod
    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """Encodes training rows as arguments of the model's `forward`; one row may become several (windows)."""

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Returns the collator that makes a batch of encoded rows."""

    @abstractmethod
    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """One prediction per row, in order. The model is in evaluation mode."""

    @abstractmethod
    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores of predictions. If they contain `loss`, the run needs no second pass over the validation rows."""
