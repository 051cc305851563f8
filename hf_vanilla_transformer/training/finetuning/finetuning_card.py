"""The text of a fine-tuned model's card: data, base model and lineage."""

from __future__ import annotations

from pathlib import Path

from ...hub import ModelCardText
from ...hub.local_paths import strip_path
from ...hub_names import is_hub_name
from ...wording import counted
from ..recipes.finetuning_recipe import FinetuneRecipe
from .base_model import BaseModel, describe

_SUMMARIES = {
    "classification": "Classifies texts",
    "token_classification": "Labels each word of a text",
    "dependency_parsing": "Finds the head and the relation of each word of a sentence",
    "question_answering": "Finds the answer to a question in a text",
    "multiple_choice": "Chooses one of several continuations",
    "sequence_to_sequence": "Generates a text from a text",
}


def card_text(
    recipe: FinetuneRecipe,
    base_model: BaseModel,
    *,
    name: str,
    train_rows: int,
    labels: list[str],
    tested: bool,
    verdict: str = "",
) -> ModelCardText:
    """The text of the card.

    Args:
        recipe: of the fine-tuning.
        base_model: that was fine-tuned.
        name: of the model.
        train_rows: number of training rows.
        labels: names of the classes; empty for tasks without classes.
        tested: whether the model has scores on the test split.
        verdict: which to use, this model or a bag of words; empty if they were not compared.
    """
    source = f"`{strip_path(recipe.data.path)}`"
    data = f"Fine-tuned on {counted(train_rows, 'row')} of {source}"
    if base_model.lineage:
        data += f", starting from {describe(base_model.lineage)}"
    if recipe.backward_base_model is not None and not recipe.from_scratch:
        data += f"; the other direction starts from `{Path(recipe.backward_base_model).name}`"
    if recipe.from_scratch:
        data += ", starting from random weights"
    summary = " ".join(recipe.description.split()) or _SUMMARIES[recipe.task]
    if labels and not recipe.description:
        summary += f": {', '.join(labels[:8])}{', ...' if len(labels) > 8 else ''}"
    origin = None if recipe.from_scratch else recipe.base_model
    if origin is not None and Path(origin).exists():
        origin = Path(origin).resolve().name
    return ModelCardText(
        name=name,
        summary=" ".join(filter(None, [summary.rstrip(".") + ".", verdict])),
        data=data + ".",
        datasets=(recipe.data.path,) if is_hub_name(recipe.data.path) else (),
        test_data=f"the test split of {source}" if tested else "",
        base_model=origin,
    )
