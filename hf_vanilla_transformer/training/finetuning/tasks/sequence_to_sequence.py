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
from ....generation.source_queue import decode_sources
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
        generated = [""] * len(ids)
        longest = self.recipe.text_length.max_target_tokens
        with evaluation_mode(model):
            decoded = decode_sources(
                model,
                tokenizer,
                ids,
                [longest] * len(ids),
                rows_per_batch=self.recipe.evaluation.per_device_eval_batch_size,
                num_beams=self.recipe.evaluation.num_beams,
                do_sample=False,
            )
            with progress_bar(unit="text", total=len(ids), show=None if progress else False) as bar:
                for finished in decoded:
                    for source in finished:
                        generated[source.number] = tokenizer.decode(source.outputs[0], skip_special_tokens=True)
                    bar.update(len(finished))
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
