"""A label for each word: parts of speech, chunks, names."""

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
    """One tag a word, read from the word's first token, or in a decoder, which has not seen the rest there, its last.

    Tags of chunks (``B-NP``, ``I-NP``, ``O``) are scored as whole chunks, others by accuracy.
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
        """Words and tags."""
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
        """Names of the tags; whether they are of chunks decides the scores."""
        self.labels = fit_word_labels(splits, "tags", self.recipe.data.on_bad_label)
        if len(self.labels) == 1:
            raise ValueError(
                f"Every training word has the same tag, {self.labels[0]!r}, so there is nothing to tell apart; is "
                f"data.tags={self.recipe.data.tags!r} the right column?"
            )
        counts = Counter(tag for tags in splits.train["tags"] for tag in tags)
        self._most_frequent = counts.most_common(1)[0][0]
        self.has_chunks = are_chunk_tags(self.labels)
        self.main_metric = "f1" if self.has_chunks else "accuracy"

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model's backbone with a classifier of each token."""
        require_stack(base_model, self.stacks, self.name)
        self._limit = longest_row(self.recipe.text_length, base_model)
        self._last_piece = base_model.stack == "decoder"
        return head_model(self.recipe, base_model, "AutoModelForTokenClassification", dict(enumerate(self.labels)))

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """One row a window; the label of a word is at one of its tokens, and the others have none."""
        encoded = self._encoded(rows, tokenizer)
        numbers = {tag: number for number, tag in enumerate(self.labels)}
        tags = rows["tags"][:]
        labels = []
        for row, ids in enumerate(encoded.input_ids):
            own = tags[encoded.sentences[row]][encoded.first_words[row] :]
            labels.append([IGNORED_LABEL] * len(ids))
            for word, place in enumerate(self._places(encoded, row)):
                labels[-1][place] = numbers.get(own[word], IGNORED_LABEL)
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
        """The most probable tag of each word; where windows overlap, by the mean of their probabilities.

        Words that `text_length.too_long: truncate` leaves unread get the most frequent tag of training, and a warning
        counts them.
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
                sums[sentence][words] += scores[[place + shift for place in self._places(encoded, row)]]
                seen[sentence][words] += 1
        unread = [int((count == 0).sum()) for count in seen]
        if any(unread):
            logger.warning(
                "%s words of %s sentences are beyond the model's reach and got the most frequent tag, %r; read them "
                "with text_length.too_long: window.",
                f"{sum(unread):,}", f"{np.count_nonzero(unread):,}", self._most_frequent,
            )  # fmt: skip
        return [
            self._prediction(words, tags, scores / np.maximum(count, 1)[:, None], count > 0)
            for words, tags, scores, count in zip(sentences, rows["tags"][:], sums, seen)
        ]

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores of tags or of whole chunks, and the mean loss of words that were read and have a known tag."""
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

    def _places(self, encoded: EncodedWords, row: int) -> list[int]:
        """For each word of a row the token that carries its label."""
        places = [-1] * encoded.words[row]
        for place, word in enumerate(encoded.word_ids[row]):
            if word >= 0 and (self._last_piece or places[word] < 0):
                places[word] = place
        return places

    def _prediction(self, words: list[str], tags: list[str], scores: np.ndarray, read: np.ndarray) -> Prediction:
        """Scores (words, tags) of one sentence and which words were read, as a line of the predictions."""
        best = scores.argmax(-1)
        found = [self.labels[number] if seen else self._most_frequent for number, seen in zip(best, read)]
        numbers = {tag: number for number, tag in enumerate(self.labels)}
        right = [(word, numbers[tag]) for word, tag in enumerate(tags) if tag in numbers]
        losses = [-np.log(max(scores[pair], np.finfo(np.float64).tiny)) for pair in right if read[pair[0]]]
        extra: dict[str, Any] = {"probabilities": scores.max(-1).tolist(), "loss": float(sum(losses))}
        if not read.all():
            extra["unread_known"] = len(right) - len(losses)
        return Prediction(list(words), list(tags), found, extra=extra)


__all__ = ["TokenClassification"]
