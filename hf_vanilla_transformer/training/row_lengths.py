"""Rows that are longer than the model can read are found before the training, not at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import PreTrainedConfig

from .batches import Rows
from .recipes.training_recipe import Recipe

# Characters of a sentence that an error shows.
_SHOWN = 60


def check_lengths(recipe: Recipe, config: PreTrainedConfig, split: str, rows: Rows, texts: Any) -> None:
    """Checks the rows of a split.

    Learned positions limit all rows. A sentence to translate is limited by `max_position_embeddings`, whatever the
    positions are.

    Args:
        recipe: decides which sentences are translated.
        config: of the model.
        split: name of the split.
        rows: its rows, tokenised.
        texts: its rows as text; language models cut them into rows.

    Raises:
        ValueError: a row is too long; the message names it and the remedies.
    """
    limit = config.max_position_embeddings
    learned = config.position_embedding_type == "learned"
    is_translation = recipe.task == "translation"
    translated = is_translation and (
        split == "test" or (split == "validation" and recipe.evaluation.predict_with_generate)
    )
    for column, lengths in zip(rows.columns, rows.lengths().T):
        is_source = column == "input_ids"
        if lengths.max() <= limit or not (learned or (translated and is_source)):
            continue
        index = int(np.argmax(lengths > limit))
        what = f"row {index} of the {split} split"
        if is_translation:
            number = index if rows.numbers is None else int(rows.numbers[index])
            side = "source" if is_source else "target"
            what = f"the {side} of row {number} of the {split} split ({texts[number][side][:_SHOWN]!r}...)"
        shorter = "shorten the sentence" if is_translation and split != "train" else f"lower data.max_length to {limit}"
        raise ValueError(
            f"{what[0].upper()}{what[1:]} has {lengths[index]} tokens, but the model has positions for {limit}: set "
            f"--model.config.max_position_embeddings {lengths.max()}, or {shorter}."
        )


def check_stream(recipe: Recipe, config: PreTrainedConfig) -> None:
    """Checks the rows of a stream, which have up to ``data.max_length`` tokens.

    Raises:
        ValueError: they may be longer than the learned positions of the model.
    """
    limit = config.max_position_embeddings
    if config.position_embedding_type == "learned" and recipe.data.max_length > limit:
        raise ValueError(
            f"data.max_length={recipe.data.max_length} is more than the {limit} positions of the model: set "
            f"--model.config.max_position_embeddings {recipe.data.max_length}, or lower data.max_length to {limit}."
        )
