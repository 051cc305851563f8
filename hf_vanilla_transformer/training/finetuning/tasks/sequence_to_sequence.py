"""Sequence-to-sequence tasks: summarisation, translation, generated answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import torch
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase

from ....data import load_pairs
from ....evaluation import load_metric
from ....evaluation_mode import evaluation_mode
from ....progress import progress_bar
from ...recipes.finetuning_recipe import FinetuneRecipe
from ..base_model import BaseModel, require_stack
from ..encoded_rows import longest_row, refuse_windows
from ..encoder_decoder import sequence_model, start_and_end
from ..labelled_rows import read_splits
from ..task import Prediction, Splits, Task


class SequenceToSequence(Task):
    """Generates a target text from a source text.

    Long sources are truncated or refused. Targets longer than `text_length.max_target_tokens` are truncated; the notes
    report their number.
    """

    name = "sequence_to_sequence"
    stacks = ("encoder_decoder", "encoder")
    main_metric = "chrf"

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__(recipe)
        refuse_windows(recipe.text_length, self.name)
        self._limit = 0
        self._pair = False

    def load(self) -> Splits:
        """Reads sources and targets."""
        data = self.recipe.data

        def read(source: Any, split: str) -> Any:
            return load_pairs(
                source,
                languages=(data.source, data.target),
                split=split,
                config_name=data.config,
                on_bad_row=data.on_bad_row,
                max_length_ratio=None,
            )

        return read_splits(data, read)

    def fit_labels(self, splits: Splits) -> None:
        """Does nothing: there are no labels."""

    def build_model(self, base_model: BaseModel) -> PreTrainedModel:
        """The base model, or a combination of the base model and `decoder_base_model`."""
        require_stack(base_model, self.stacks, self.name)
        self._limit = longest_row(self.recipe.text_length, base_model)
        self._pair = base_model.stack == "encoder"
        target = self.recipe.text_length.max_target_tokens
        if (
            base_model.config.position_embedding_type == "learned"
            and target > base_model.config.max_position_embeddings
        ):
            raise ValueError(
                f"text_length.max_target_tokens={target} exceeds the {base_model.config.max_position_embeddings} "
                f"positions of the base model {base_model.source}; lower it."
            )
        model = sequence_model(self.recipe, base_model)
        model.generation_config.num_beams = self.recipe.evaluation.num_beams
        return model

    def encode(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
        """Encodes both sides; the model itself shifts the targets."""
        sources = self._sources(rows, tokenizer)
        longest = self.recipe.text_length.max_target_tokens
        labels, cut = [], 0
        for ids in tokenizer(text_target=list(rows["target"]), verbose=False)["input_ids"]:
            ids = self._target(ids, tokenizer)
            if len(ids) > longest:
                ids, cut = [*ids[: longest - 1], ids[-1]], cut + 1
            labels.append(ids)
        note = f"{cut:,} of {len(labels):,} targets were truncated to {longest} tokens (text_length.max_target_tokens)."
        if cut and note not in self.notes:
            self.notes.append(note)
        return datasets.Dataset.from_dict(
            {**sources, "labels": labels, "length": [len(ids) for ids in sources["input_ids"]]}
        )

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """Pads sources and targets to the longest of the batch."""
        return DataCollatorForSeq2Seq(tokenizer)

    @torch.inference_mode()
    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: datasets.Dataset,
        progress: bool = True,
    ) -> list[Prediction]:
        """Generates a text for each source with `evaluation.num_beams` beams."""
        sources = self._sources(rows, tokenizer)
        ids = sources["input_ids"]
        order = sorted(range(len(ids)), key=lambda index: (-len(ids[index]), index))
        size = self.recipe.evaluation.per_device_eval_batch_size
        generated = [""] * len(ids)
        with evaluation_mode(model):
            starts = range(0, len(order), size)
            for start in progress_bar(starts, unit="batch", show=None if progress else False):
                numbers = order[start : start + size]
                batch = tokenizer.pad({"input_ids": [ids[number] for number in numbers]}, return_tensors="pt")
                outputs = model.generate(
                    input_ids=batch["input_ids"].to(model.device),
                    attention_mask=batch["attention_mask"].to(model.device),
                    num_beams=self.recipe.evaluation.num_beams,
                    do_sample=False,
                    max_new_tokens=self.recipe.text_length.max_target_tokens,
                )
                for number, text in zip(numbers, tokenizer.batch_decode(outputs, skip_special_tokens=True)):
                    generated[number] = text
        return [
            Prediction(source, target, text) for source, target, text in zip(rows["source"], rows["target"], generated)
        ]

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """chrF and BLEU in percent, ROUGE in [0, 1]."""
        predicted, gold = [one.predicted for one in predictions], [one.gold for one in predictions]
        scores: dict[str, Any] = {}
        for name in ("chrf", "bleu", "rouge"):
            scores |= load_metric(name).compute(predictions=predicted, references=gold)
        return {name: value for name, value in scores.items() if not name.endswith("_signature")}

    def _sources(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[list[int]]]:
        texts = list(rows["source"])
        if self.recipe.text_length.too_long == "refuse":
            lengths = [len(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]
            if max(lengths) > self._limit:
                row = lengths.index(max(lengths))
                raise ValueError(
                    f"The source of row {row} has {lengths[row]} tokens, more than {self._limit}, and "
                    "text_length.too_long is refuse; shorten it, or set text_length.too_long to truncate."
                )
        encoded = tokenizer(texts, truncation=True, max_length=self._limit)
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}

    def _target(self, ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """The ids that the decoder generates: without the start token, with the end token."""
        if not self._pair:
            return ids
        start, end = start_and_end(tokenizer)
        ids = ids[1:] if ids and ids[0] == start else ids
        return ids if ids and ids[-1] == end else [*ids, end]


__all__ = ["SequenceToSequence"]
