"""Small models of transformers, saved like published checkpoints."""

from pathlib import Path

from transformers import PreTrainedModel

from benchmarks.parity import small_transformers_model
from hf_vanilla_transformer.conversion.families import FAMILIES
from hf_vanilla_transformer.conversion.family import Family, Head


def main_head(family: Family) -> Head:
    """The language-model head of a family."""
    return next(head for head in family.heads if head.language_model)


def save(family: Family | str, folder: Path, head: Head | str | None = None, shard: str = "1GB", **changes):
    """Saves a small model of transformers into `folder`, and returns it."""
    family = FAMILIES[family] if isinstance(family, str) else family
    if isinstance(head, str):
        head = next(candidate for candidate in family.heads if candidate.theirs == head)
    reference: PreTrainedModel = small_transformers_model(family, head or main_head(family), **changes)
    reference.save_pretrained(folder, max_shard_size=shard)
    return reference
