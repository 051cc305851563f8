"""The section `adaptation` of a recipe: the base model, the safeguards against forgetting, and new words."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from huggingface_hub.dataclasses import strict

from .bounds import Number, bounded
from .text_sections import DataRecipe, EvaluationRecipe, ModelRecipe, TrainingRecipe

# The recipe of an adaptation that names no other.
DEFAULT_RECIPE = "adapt"


@strict
@dataclass
class GeneralTextRecipe:
    """Text of the kind that the base model was trained on. Forgetting is measured on it, and it is replayed."""

    path: str | None = None
    """Folder, file or Hub name; null neither measures forgetting nor replays general text."""
    config: str | None = None
    """Configuration of a Hub data set."""
    text_column: str = "text"
    """Column of the text."""
    train: list[str] = field(default_factory=lambda: ["train"])
    """Split that is replayed. Of several names, the first that exists is used."""
    validation: list[str] = field(default_factory=lambda: ["validation", "valid", "dev"])
    """Split that forgetting is measured on. Of several names, the first that exists is used."""
    sample_by: Literal["line", "paragraph", "document"] = "line"
    """What one text of a plain text file is: a line, a paragraph or the entire file."""
    hold_out: int = bounded(200, at_least=0, at_most=1_000_000_000)
    """Without a validation split, the first this many training texts are the validation split."""
    max_rows: int | None = bounded(None, at_least=1, at_most=1_000_000_000_000)
    """Use only the first this many rows of the training split."""


@strict
@dataclass
class AdaptationRecipe:
    """How a trained model continues training on the text of a domain, which is the text of the section `data`."""

    base_model: str | None = None
    """The model to adapt: folder of a run, or any checkpoint that `from_checkpoint` reads. `hf-vanilla adapt
    BASE_MODEL` sets it; null is a recipe without adaptation."""
    new_head: bool = False
    """Start with a random head if the base model has none that predicts tokens, as encoders saved without their head.
    Otherwise such a base model is an error."""
    general: GeneralTextRecipe = field(default_factory=GeneralTextRecipe)
    replay: Number = bounded(0.0, at_least=0, below=1)
    """Fraction of general text among the training tokens, against forgetting."""
    l2_sp: Number = bounded(0.0, at_least=0)
    """Strength of the decay towards the weights of the base model, against forgetting (Li et al. 2018). Each update
    undoes `learning rate * l2_sp` of the distance that a weight has moved."""
    l2_sp_new_rows: Literal["start", "free"] = "start"
    """With `l2_sp`, embeddings of new words decay to their initial values (`start`) or do not decay (`free`)."""
    embeddings: Literal["base_model", "cooccurrence"] = "base_model"
    """Keep the embeddings of the base model, or rotate each one, at its length, in the direction of the tokens that
    occur together with its token in the domain's text (`cooccurrence`); see `turn_embeddings`."""
    new_words: int = bounded(0, at_least=0, at_most=1_000_000)
    """Add at most this many words to the tokenizer: frequent words of the domain that it splits."""
    min_count: int = bounded(10, at_least=1, at_most=1_000_000_000)
    """Occurrences in the training text that a new word needs."""


def problems_of_adaptation(
    adaptation: AdaptationRecipe,
    *,
    model: ModelRecipe,
    data: DataRecipe,
    training: TrainingRecipe,
    evaluation: EvaluationRecipe,
) -> list[str]:
    """Contradictions between an adaptation and other sections, each as a sentence with the remedy.

    Without a base model, all fields of the section must have their defaults.
    """
    if adaptation.base_model is None:
        default = AdaptationRecipe()
        changed = [
            entry.name
            for entry in dataclasses.fields(adaptation)
            if getattr(adaptation, entry.name) != getattr(default, entry.name)
        ]
        return [
            f"adaptation.{name} adapts a base model: run hf-vanilla adapt BASE_MODEL, or set adaptation.base_model."
            for name in changed[:1]
        ]
    problems = []
    if adaptation.replay and adaptation.general.path is None:
        problems.append(
            f"adaptation.replay={adaptation.replay} needs general text: set adaptation.general.path, for example to "
            "the data that the base model was trained on."
        )
    if adaptation.l2_sp and training.weight_decay:
        problems.append(
            f"training.weight_decay={training.weight_decay} pulls the weights to zero and adaptation.l2_sp="
            f"{adaptation.l2_sp} pulls them to the base model's: set one of them to 0."
        )
    name = "muon_learning_rate" if training.optim == "muon" else "learning_rate"
    rate = (getattr(training, name) or 0.0) * training.learning_rate_scale
    if rate * adaptation.l2_sp > 1:
        problems.append(
            f"adaptation.l2_sp={adaptation.l2_sp} times training.{name}={rate:g} is above 1, so an update would move "
            f"the weights beyond the base model's: set adaptation.l2_sp to at most {1 / rate:.4g}."
        )
    if data.streaming or data.mixture:
        problems.append(
            "An adaptation loads its domain text into memory: set data.streaming to false and leave out data.mixture; "
            "adaptation.replay and adaptation.general.path mix in general text."
        )
    if model.start_from is not None or model.config:
        problems.append(
            "The model of an adaptation is adaptation.base_model: leave out model.start_from "
            f"({model.start_from}) and model.config ({model.config})."
        )
    if evaluation.eval_steps is None:
        problems.append(
            "evaluation.eval_steps=null would not measure during training what the model learns and forgets: set a "
            "number of updates, such as 200."
        )
    return problems
