"""The fields of a recipe's `adaptation`: from which parent, what it shall not forget, and which words it learns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .training_recipe import Recipe


@dataclass
class GeneralTextRecipe:
    """Text of the kind that the parent knows: forgetting is measured on it, and it is replayed.

    Attributes:
        path: folder, file or Hub name; None measures and replays nothing.
        config: name of the configuration of a Hub data set.
        text_column: the column of the text.
        train: names of the split that is replayed; of several names, the first that exists is taken.
        validation: names of the split that forgetting is measured on.
        sample_by: what one text of a plain text file is: a line, a paragraph or the whole file.
        hold_out: so many texts at the beginning of the training split are the validation split, where there is none.
        max_rows: use only the first this many rows of the training split.
    """

    path: str | None = None
    config: str | None = None
    text_column: str = "text"
    train: list[str] = field(default_factory=lambda: ["train"])
    validation: list[str] = field(default_factory=lambda: ["validation", "valid", "dev"])
    sample_by: Literal["line", "paragraph", "document"] = "line"
    hold_out: int = 200
    max_rows: int | None = None


@dataclass
class AdaptationRecipe:
    """How a trained model goes on learning on the text of a domain, which is that of `data`.

    Attributes:
        base_model: the model that is adapted: a folder of a run, or any checkpoint that `from_checkpoint` reads. It
            is set
            by ``hf-vanilla adapt PARENT``; None is a recipe that adapts nothing.
        general: text of the kind that the parent knows.
        replay: share of general text among the tokens of the training, against forgetting; 0 replays nothing.
        l2_sp: strength of the decay towards the parent's weights, against forgetting (Li et al. 2018); each update
            takes away learning rate times `l2_sp` of what a weight has moved. 0 is none.
        l2_sp_new_rows: what that means for embeddings of new words: they decay to their ``start``, or are ``free``.
        embeddings: ``base_model``: the base model's as they are, or, with ``cooccurrence``, each at the length it
            has but in the direction
            that the domain's texts give its token by what it occurs with; see `turn_embeddings`.
        new_words: extend the parent's tokenizer by at most this many entries, for words that are frequent in the domain
            and that it takes apart; 0 keeps the tokenizer.
        min_count: a new word stands at least this often in the training text.
    """

    base_model: str | None = None
    general: GeneralTextRecipe = field(default_factory=GeneralTextRecipe)
    replay: float = 0.0
    l2_sp: float = 0.0
    l2_sp_new_rows: Literal["start", "free"] = "start"
    embeddings: Literal["base_model", "cooccurrence"] = "base_model"
    new_words: int = 0
    min_count: int = 10


def check_adaptation(recipe: Recipe) -> None:
    """Raises ValueError for fields that contradict each other; without a parent they must be as they are by default."""
    adaptation = recipe.adaptation
    if adaptation.base_model is None:
        if adaptation != AdaptationRecipe():
            default = AdaptationRecipe()
            set_here = [
                entry.name for entry in dataclasses.fields(adaptation) if _differs(adaptation, default, entry.name)
            ]
            raise ValueError(
                f"adaptation.{set_here[0]} is for the adaptation of a parent: run hf-vanilla adapt PARENT, or set "
                "adaptation.base_model."
            )
        return
    if not 0 <= adaptation.replay < 1:
        raise ValueError(
            f"adaptation.replay={adaptation.replay} must be at least 0 and below 1: the share of general text among "
            "the training tokens, such as 0.2."
        )
    if adaptation.replay and adaptation.general.path is None:
        raise ValueError(
            f"adaptation.replay={adaptation.replay} needs general text: name it with adaptation.general.path, such as "
            "the data that the parent was trained on."
        )
    for name in ("l2_sp", "new_words", "min_count"):
        lowest = 1 if name == "min_count" else 0
        if getattr(adaptation, name) < lowest:
            raise ValueError(f"adaptation.{name} must be at least {lowest}, not {getattr(adaptation, name)}.")
    if adaptation.l2_sp and recipe.training.weight_decay:
        raise ValueError(
            f"training.weight_decay={recipe.training.weight_decay} pulls the weights to zero, adaptation.l2_sp="
            f"{adaptation.l2_sp} to the parent's: set one of them to 0."
        )
    training = recipe.training
    name = "muon_learning_rate" if training.optim == "muon" else "learning_rate"
    rate = (getattr(training, name) or 0.0) * training.learning_rate_scale
    if rate * adaptation.l2_sp > 1:
        raise ValueError(
            f"adaptation.l2_sp={adaptation.l2_sp} times training.{name}={rate:g} is above 1, so that an update would "
            f"throw the weights beyond the parent's: choose at most {1 / rate:.4g}."
        )
    if recipe.data.streaming or recipe.data.mixture:
        raise ValueError(
            "An adaptation reads its domain text as a whole, so data.streaming must be false and data.mixture empty; "
            "general text is mixed in with adaptation.replay and adaptation.general.path."
        )
    if recipe.model.start_from is not None or recipe.model.config:
        raise ValueError(
            "The model of an adaptation is its parent: leave out model.start_from and model.config "
            f"({recipe.model.config})."
        )
    if recipe.evaluation.eval_steps is None:
        raise ValueError(
            "evaluation.eval_steps=null would show nothing of what is learned and forgotten on the way: set a "
            "number of "
            "updates, such as 200."
        )


def _differs(first: AdaptationRecipe, second: AdaptationRecipe, name: str) -> bool:
    return getattr(first, name) != getattr(second, name)
