"""The folder of a fine-tuned model: what a pipeline loads and the Hub takes, with base model and data on its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...hub import ModelCardText, export_folder
from ...hub.local_paths import strip_path
from ...hub_names import is_hub_name
from ..folder import CURVES_FILE, METRICS_FILE
from ..recipes.finetuning_recipe import FinetuneRecipe
from .base_model import BaseModel, describe
from .folder import TRAINABLE_FILE
from .lengths import longest_row

if TYPE_CHECKING:
    from .finetuning_run import FinetuneResult

_SUMMARIES = {
    "classification": "Says which class a text belongs to",
    "token_classification": "Labels each word of a text",
    "dependency_parsing": "Says of which other word each word of a sentence is a dependent, and in which relation",
    "question_answering": "Finds the answer to a question in a text",
    "multiple_choice": "Chooses one of several continuations",
    "sequence_to_sequence": "Writes a text for a text",
}


def write_model_folder(
    recipe: FinetuneRecipe, base_model: BaseModel, result: FinetuneResult, command: str = ""
) -> Path:
    """Writes ``model`` in the output folder of a run."""
    folder = result.folder
    # So that a pipeline with truncation=True cuts where the model ends.
    result.tokenizer.model_max_length = min(result.tokenizer.model_max_length, longest_row(recipe, base_model))
    plots = {"Training and validation.": folder / CURVES_FILE} if (folder / CURVES_FILE).is_file() else {}
    files = [folder / name for name in (METRICS_FILE, TRAINABLE_FILE) if (folder / name).is_file()]
    return export_folder(
        result.model,
        result.tokenizer,
        folder / "model",
        card=card_text(recipe, base_model, result, command),
        recipe=recipe,
        metrics=result.metrics,
        plots=plots,
        files=files,
        overwrite=True,
    )


def card_text(
    recipe: FinetuneRecipe, base_model: BaseModel, result: FinetuneResult, command: str = ""
) -> ModelCardText:
    """What the run knows for the card: the data, the base model, and what the base model was made of."""
    rows = result.metrics["run"]["train_rows"]
    source = f"`{strip_path(recipe.data.path)}`"
    data = f"Fine-tuned on {rows:,} rows of {source}"
    if base_model.lineage:
        data += f", starting from {describe(base_model.lineage)}"
    if recipe.backward_base_model is not None and not recipe.from_scratch:
        data += f"; the other direction starts from `{Path(recipe.backward_base_model).name}`"
    if recipe.from_scratch:
        data += ", starting from random weights"
    summary = " ".join(recipe.description.split()) or _SUMMARIES[recipe.task]
    if result.labels and not recipe.description:
        shown_labels = ", ".join(result.labels[:8]) + (", ..." if len(result.labels) > 8 else "")
        summary += f": {shown_labels}"
    origin = None if recipe.from_scratch else recipe.base_model
    if origin is not None and Path(origin).exists():
        origin = Path(origin).resolve().name
    return ModelCardText(
        name=result.folder.resolve().name,
        summary=summary.rstrip(".") + ".",
        data=data + ".",
        datasets=(recipe.data.path,) if is_hub_name(recipe.data.path) else (),
        test_data=f"the test split of {source}" if "test" in result.predictions else "",
        base_model=origin,
        command=command,
    )
