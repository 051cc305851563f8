"""How long a row may be: what the recipe says, and what the model can read."""

from __future__ import annotations

from ..recipes.finetuning_recipe import FinetuneRecipe
from .base_model import BaseModel


def longest_row(recipe: FinetuneRecipe, base_model: BaseModel) -> int:
    """The longest row in tokens, special tokens included.

    Raises:
        ValueError: the recipe asks for more than learned positions have.
    """
    config = base_model.config
    wanted = recipe.text_length.max_tokens
    if wanted is None:
        return config.max_position_embeddings
    if config.position_embedding_type == "learned" and wanted > config.max_position_embeddings:
        raise ValueError(
            f"text_length.max_tokens={wanted} is more than the base model {base_model.source} has positions for "
            f"({config.max_position_embeddings}); lower it, or read in windows: text_length.too_long: window."
        )
    return wanted


def refuse_windows(recipe: FinetuneRecipe) -> None:
    """For tasks in which the windows of a long text cannot vote. Raises ValueError if the recipe asks for them."""
    if recipe.text_length.too_long == "window":
        raise ValueError(
            f"text_length.too_long: window is for tasks whose windows can vote; {recipe.task} takes truncate or refuse."
        )
