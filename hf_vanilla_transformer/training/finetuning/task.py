"""What a task has to say, so that one run fine-tunes, scores and reports all of them."""

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
        train, validation, test: with the columns of the task; None where there is no split.
        reports: the account of rows that were left out, one a split.
    """

    train: datasets.Dataset
    validation: datasets.Dataset | None = None
    test: datasets.Dataset | None = None
    reports: list[RowReport] = field(default_factory=list)


@dataclass
class Prediction:
    """What the model says about one row, beside what is right. A line of predictions_{split}.jsonl.

    Attributes:
        text: what was read: a text, or the tokens.
        gold: the right answer as a person reads it: a label, a number, labels, a text, heads; None where unknown.
        predicted: the model's.
        probability: that the model gives its own answer; None where there is none.
        probabilities: of every label by name, for tasks with few labels.
        extra: whatever else a report of this task shows.
    """

    text: str | list[str]
    gold: Any
    predicted: Any
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values; empty fields are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != {}}


class Task(ABC):
    """A task of `hf-vanilla finetune`. The run calls the methods in the order in which they stand here.

    Args:
        recipe: the whole recipe; a task reads its own fields.

    Attributes:
        name: as `recipe.task` says it.
        stacks: the kinds of base model it can start from: `encoder`, `decoder`, `encoder_decoder`.
        main_metric: of `metrics`, which decides what is best.
        higher_is_better: whether more of it is better.
        labels: their names in the order of the model's outputs, once `fit_labels` has run; empty for other tasks.
        notes: what a reader of the report should know of the data, beside the counts of rows that were left out.
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
        """Reads the splits and leaves out bad rows, counted.

        Raises:
            FileNotFoundError: the data or its training split is not there.
            ValueError: a column is missing or of the wrong type, or no row is valid.
        """

    @abstractmethod
    def fit_labels(self, splits: Splits) -> None:
        """Learns the names of the labels from the training rows, and checks the other splits against them."""

    def classes(self, rows: datasets.Dataset) -> list[Any] | None:
        """A class for each row, which `data.max_labels` keeps balanced; None where rows have no single class."""
        return None

    @abstractmethod
    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with the head of this task; called after `fit_labels`.

        Raises:
            ValueError: the base model is of a stack that the task cannot use.
        """

    @abstractmethod
    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """Training rows as the model's forward takes them; one row may become several (windows)."""

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Makes a batch of encoded rows."""

    @abstractmethod
    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """One prediction a row, in order. The model is in evaluation mode."""

    @abstractmethod
    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores of predictions. `loss` among them spares the run another pass over the validation rows."""
