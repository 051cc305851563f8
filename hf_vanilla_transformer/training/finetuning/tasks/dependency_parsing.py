"""Dependency parsing: a tree for each sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import datasets
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ....data.collators.dependency_parsing import DependencyParsingCollator
from ....data.readers.trees import load_trees
from ....data.word_pieces import EncodedWords, encode_words
from ....evaluation import load_metric
from ....models.losses_vanilla import IGNORED_LABEL
from ....models.modeling_vanilla_parsing import DependencyTree, VanillaEncoderForDependencyParsing
from ...recipes.finetuning_recipe import FinetuneRecipe
from ..base_model import BaseModel, require_stack
from ..encoded_rows import longest_row, outputs_by_length
from ..heads import head_model
from ..labelled_rows import read_splits
from ..task import Prediction, Splits, Task
from .word_labels import fit_word_labels

logger = logging.getLogger(__name__)


class DependencyParsing(Task):
    """The head and the relation of each word, as in Universal Dependencies, with one word attached to the root.

    `head.config` has the fields of the head: `parser_arc_size`, `parser_label_size`, `parser_dropout`, `word_pooling`.
    """

    name = "dependency_parsing"
    stacks = ("encoder",)
    main_metric = "las"

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__(recipe)
        self._limit = 0

    def load(self) -> Splits:
        """Reads words, heads and relations."""
        data = self.recipe.data

        def read(source: Any, split: str) -> Any:
            return load_trees(
                source,
                tokens_column=data.tokens,
                heads_column=data.heads,
                relations_column=data.relations,
                split=split,
                config_name=data.config,
                on_bad_row=data.on_bad_row,
            )

        return read_splits(data, read)

    def fit_labels(self, splits: Splits) -> None:
        """Collects the names of the relations."""
        self.labels = fit_word_labels(splits, "relations", self.recipe.data.on_bad_label)

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with biaffine scorers.

        Raises:
            ValueError: the base model is not an encoder, or `text_length.too_long` is ``window``.
        """
        require_stack(base_model, self.stacks, self.name)
        if self.recipe.text_length.too_long == "window":
            raise ValueError(
                "text_length.too_long: window is not supported by task='dependency_parsing', because arcs cross "
                "windows; choose truncate or refuse, or a base model with more positions."
            )
        self._limit = longest_row(self.recipe.text_length, base_model)
        return head_model(self.recipe, base_model, VanillaEncoderForDependencyParsing, dict(enumerate(self.labels)))

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """One row per sentence. In a truncated sentence, words whose head was cut off get no label."""
        encoded = self._encoded(rows, tokenizer)
        numbers = {relation: number for number, relation in enumerate(self.labels)}
        heads, labels = [], []
        for words, own_heads, relations in zip(encoded.words, rows["heads"][:], rows["relations"][:]):
            there = [head if head <= words else IGNORED_LABEL for head in own_heads[:words]]
            heads.append(there)
            labels.append(
                [
                    numbers.get(relation, IGNORED_LABEL) if head >= 0 else IGNORED_LABEL
                    for head, relation in zip(there, relations)
                ]
            )
        columns = {"input_ids": encoded.input_ids, "word_ids": encoded.word_ids, "heads": heads, "labels": labels}
        return datasets.Dataset.from_dict({**columns, "length": [len(ids) for ids in encoded.input_ids]})

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Pads tokens and words to the longest of the batch."""
        return DependencyParsingCollator(tokenizer)

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """The maximum spanning tree of each sentence.

        Words cut off by `text_length.too_long: truncate` are predicted as their own heads without a relation, which is
        always wrong; a warning reports their number.
        """
        encoded = self._encoded(rows, tokenizer)
        inputs = [{"input_ids": ids, "word_ids": words} for ids, words in zip(encoded.input_ids, encoded.word_ids)]
        batches = outputs_by_length(
            model,
            inputs,
            [len(row["input_ids"]) for row in inputs],
            self.collator(tokenizer),
            batch_size=self.recipe.evaluation.per_device_eval_batch_size,
            progress=progress,
            call=model.parse,
        )
        trees: dict[int, DependencyTree] = {}
        for numbers, outputs in batches:
            trees.update(zip(numbers, outputs))
        if encoded.long:
            unread = sum(len(words) for words in rows["tokens"][:]) - sum(encoded.words)
            logger.warning(
                "%s words of %s sentences were cut off and count as wrong; raise text_length.max_tokens, or choose a "
                "base model with more positions.", f"{unread:,}", f"{encoded.long:,}",
            )  # fmt: skip
        columns = zip(rows["tokens"][:], rows["heads"][:], rows["relations"][:])
        return [self._prediction(*sentence, trees[row]) for row, sentence in enumerate(columns)]

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """UAS and LAS, with the other scores of the metric ``attachment_scores``."""
        return load_metric("attachment_scores", tokens=True).compute(
            predictions=[one.predicted for one in predictions],
            references=[one.gold for one in predictions],
            tokens=[one.text for one in predictions],
        )

    def _encoded(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> EncodedWords:
        too_long = self.recipe.text_length.too_long
        return encode_words(tokenizer, rows["tokens"][:], max_length=self._limit, long=too_long)

    def _prediction(self, words: list[str], heads: list[int], relations: list[str], tree: DependencyTree) -> Prediction:
        read = len(tree.heads)
        predicted = {
            "heads": [*tree.heads, *range(read + 1, len(words) + 1)],
            "relations": [self.labels[label] for label in tree.labels] + [""] * (len(words) - read),
        }
        scores = [*tree.scores, *[0.0] * (len(words) - read)]
        return Prediction(
            list(words),
            {"heads": list(heads), "relations": list(relations)},
            predicted,
            extra={"probabilities": scores},
        )


__all__ = ["DependencyParsing"]
