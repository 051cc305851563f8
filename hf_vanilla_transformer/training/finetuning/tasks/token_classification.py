"""Token classification: a label for each word, such as parts of speech, chunks or named entities."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
from transformers import DataCollatorForTokenClassification, PreTrainedModel, PreTrainedTokenizerBase

from ....data.readers.tagged import load_tagged
from ....data.word_pieces import EncodedWords, encode_words
from ....evaluation import load_metric
from ....evaluation.chunks import are_chunk_tags
from ....models.losses_vanilla import IGNORED_LABEL
from ...recipes.finetuning_recipe import FinetuneRecipe
from ..base_model import BaseModel, require_stack
from ..encoded_rows import longest_row, outputs_by_length
from ..heads import head_model
from ..labelled_rows import read_splits
from ..task import Prediction, Splits, Task
from .word_labels import fit_word_labels

logger = logging.getLogger(__name__)


class TokenClassification(Task):
    """One tag per word, predicted at its first token; in a decoder, at its last, which attends to the entire word.

    Tags of chunks (``B-NP``, ``I-NP``, ``O``) are scored as chunks, other tags by accuracy.
    """

    name = "token_classification"
    stacks = ("encoder", "decoder")
    main_metric = "accuracy"

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__(recipe)
        self.has_chunks = False
        self._most_frequent = ""
        self._last_piece = False
        self._limit = 0

    def load(self) -> Splits:
        """Reads words and tags."""
        data = self.recipe.data

        def read(source: Any, split: str) -> Any:
            return load_tagged(
                source,
                tokens_column=data.tokens,
                tags_column=data.tags,
                split=split,
                config_name=data.config,
                on_bad_row=data.on_bad_row,
            )

        return read_splits(data, read)

    def fit_labels(self, splits: Splits) -> None:
        """Collects the names of the tags. Tags of chunks have other scores."""
        self.labels = fit_word_labels(splits, "tags", self.recipe.data.on_bad_label)
        if len(self.labels) == 1:
            raise ValueError(
                f"Every training word has the same tag, {self.labels[0]!r}: there is nothing to learn. Check that "
                f"data.tags={self.recipe.data.tags!r} is the correct column."
            )
        counts = Counter(tag for tags in splits.train["tags"] for tag in tags)
        self._most_frequent = counts.most_common(1)[0][0]
        self.has_chunks = are_chunk_tags(self.labels)
        self.main_metric = "f1" if self.has_chunks else "accuracy"

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with a classifier for each token."""
        require_stack(base_model, self.stacks, self.name)
        self._limit = longest_row(self.recipe.text_length, base_model)
        self._last_piece = base_model.stack == "decoder"
        return head_model(self.recipe, base_model, "AutoModelForTokenClassification", dict(enumerate(self.labels)))

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """One row per window. One token of each word has its label; the other tokens have none."""
        encoded = self._encoded(rows, tokenizer)
        numbers = {tag: number for number, tag in enumerate(self.labels)}
        tags = rows["tags"][:]
        labels = []
        for row, ids in enumerate(encoded.input_ids):
            own = tags[encoded.sentences[row]][encoded.first_words[row] :]
            labels.append([IGNORED_LABEL] * len(ids))
            for word, token in enumerate(self._labelled_tokens(encoded, row)):
                labels[-1][token] = numbers.get(own[word], IGNORED_LABEL)
        lengths = [len(ids) for ids in encoded.input_ids]
        return datasets.Dataset.from_dict({"input_ids": encoded.input_ids, "labels": labels, "length": lengths})

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Pads rows and labels to the longest of the batch."""
        return DataCollatorForTokenClassification(tokenizer)

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """The most probable tag of each word, by the mean of the probabilities of overlapping windows.

        Words cut off by `text_length.too_long: truncate` get the most frequent tag of the training rows; a warning
        reports their number.
        """
        encoded = self._encoded(rows, tokenizer)
        sentences = rows["tokens"][:]
        sums = [np.zeros((len(words), len(self.labels))) for words in sentences]
        seen = [np.zeros(len(words)) for words in sentences]
        lengths = [len(ids) for ids in encoded.input_ids]
        batches = outputs_by_length(
            model,
            [{"input_ids": ids} for ids in encoded.input_ids],
            lengths,
            self.collator(tokenizer),
            batch_size=self.recipe.evaluation.per_device_eval_batch_size,
            progress=progress,
        )
        left = tokenizer.padding_side == "left"
        for numbers, outputs in batches:
            probabilities = outputs.logits.double().softmax(-1).cpu().numpy()
            for row, scores in zip(numbers, probabilities):
                shift = len(scores) - lengths[row] if left else 0
                sentence, first = encoded.sentences[row], encoded.first_words[row]
                words = slice(first, first + encoded.words[row])
                sums[sentence][words] += scores[[token + shift for token in self._labelled_tokens(encoded, row)]]
                seen[sentence][words] += 1
        unread = [int((count == 0).sum()) for count in seen]
        if any(unread):
            logger.warning(
                "%s words of %s sentences were cut off and got the most frequent tag, %r; set text_length.too_long to "
                "window to read them.",
                f"{sum(unread):,}", f"{np.count_nonzero(unread):,}", self._most_frequent,
            )  # fmt: skip
        return [
            self._prediction(words, tags, scores / np.maximum(count, 1)[:, None], count > 0)
            for words, tags, scores, count in zip(sentences, rows["tags"][:], sums, seen)
        ]

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores of tags or chunks, and the mean loss of words with a known tag that were not cut off."""
        gold, predicted = [one.gold for one in predictions], [one.predicted for one in predictions]
        known = set(self.labels)
        scored = sum(tag in known for tags in gold for tag in tags)
        scored -= sum(one.extra.get("unread_known", 0) for one in predictions)
        loss = sum(one.extra["loss"] for one in predictions) / max(scored, 1)
        metric = load_metric("chunk_f1" if self.has_chunks else "tag_accuracy")
        return {**metric.compute(predictions=predicted, references=gold), "loss": loss}

    def _encoded(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> EncodedWords:
        length = self.recipe.text_length
        return encode_words(
            tokenizer, rows["tokens"][:], max_length=self._limit, long=length.too_long, overlap=length.overlap
        )

    def _labelled_tokens(self, encoded: EncodedWords, row: int) -> list[int]:
        """The index of the token that has the label, for each word of a row."""
        tokens = [-1] * encoded.words[row]
        for token, word in enumerate(encoded.word_ids[row]):
            if word >= 0 and (self._last_piece or tokens[word] < 0):
                tokens[word] = token
        return tokens

    def _prediction(self, words: list[str], tags: list[str], scores: np.ndarray, read: np.ndarray) -> Prediction:
        """The prediction of one sentence, from probabilities (words, tags) and a mask (words,) of read words."""
        best = scores.argmax(-1)
        predicted = [self.labels[number] if seen else self._most_frequent for number, seen in zip(best, read)]
        numbers = {tag: number for number, tag in enumerate(self.labels)}
        gold = [(word, numbers[tag]) for word, tag in enumerate(tags) if tag in numbers]
        losses = [-np.log(max(scores[pair], np.finfo(np.float64).tiny)) for pair in gold if read[pair[0]]]
        extra: dict[str, Any] = {"probabilities": scores.max(-1).tolist(), "loss": float(sum(losses))}
        if not read.all():
            extra["unread_known"] = len(gold) - len(losses)
        return Prediction(list(words), list(tags), predicted, extra=extra)


__all__ = ["TokenClassification"]
