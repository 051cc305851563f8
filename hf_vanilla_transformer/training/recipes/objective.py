"""What a language model learns to predict: the fields of a recipe's `objective`, and what they mean for each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...data.collators.span_corruption import sentinel_name

if TYPE_CHECKING:
    from .training_recipe import Recipe

# Tasks that read running text, by the names that `hf-vanilla pretrain` has for them.
OBJECTIVES = {"causal": "causal_lm", "masked": "masked_lm", "denoising": "denoising", "span": "span"}
# Tasks of the encoder-decoder; the others have one stack.
ENCODER_DECODER = ("translation", "denoising", "span")

# Devlin et al. 2019, section 3.1; Lewis et al. 2020, section 5.1; Raffel et al. 2020, section 3.3.4.
_MASK_PROBABILITY = {"masked_lm": 0.15, "denoising": 0.3, "span": 0.15}
# Joshi et al. 2020, section 3.1; Lewis et al. 2020, section 2.2; Raffel et al. 2020, section 3.3.4.
_MEAN_SPAN_LENGTH = {"masked_lm": 3.8, "denoising": 3.0, "span": 3.0}


@dataclass
class ObjectiveRecipe:
    """What is hidden from a language model, for the tasks ``masked_lm``, ``denoising`` and ``span``.

    Attributes:
        mask_probability: part of the tokens that is hidden; None is the paper's: 0.15 for ``masked_lm`` (BERT) and
            ``span`` (T5), 0.3 for ``denoising`` (BART).
        unit: ``masked_lm`` only: what is hidden as a whole: a ``token``, all pieces of a ``whole_word``, or a ``span``
            of whole words (SpanBERT).
        replacement: ``masked_lm`` only: ``bert`` shows 80 % of what is hidden as the mask token, 10 % as a random token
            and 10 % as it is; ``all`` shows the mask token everywhere.
        mean_span_length: mean length of a span, in words for ``masked_lm`` (3.8 if None) and in tokens for the others
            (3 if None).
        max_span_length: ``masked_lm`` only: longest span, in words.
        permute_sentences: ``denoising`` only: the sentences of a text are shown in random order.
        sentinels: ``span`` only: how many sentinel tokens the tokenizer has, and so the most spans of one text.
    """

    mask_probability: float | None = None
    unit: Literal["token", "whole_word", "span"] = "token"
    replacement: Literal["bert", "all"] = "bert"
    mean_span_length: float | None = None
    max_span_length: int = 10
    permute_sentences: bool = True
    sentinels: int = 100


def mask_probability(recipe: Recipe) -> float:
    """The part of the tokens that the recipe's task hides."""
    given = recipe.objective.mask_probability
    return _MASK_PROBABILITY[recipe.task] if given is None else given


def mean_span_length(recipe: Recipe) -> float:
    """The mean length of a span in the recipe's task."""
    given = recipe.objective.mean_span_length
    return _MEAN_SPAN_LENGTH[recipe.task] if given is None else given


def check_objective(recipe: Recipe) -> None:
    """Raises ValueError for fields of the objective that are wrong, or that have no place in the recipe's task."""
    task, objective = recipe.task, recipe.objective
    for name, tasks in _ONLY_FOR.items():
        default = getattr(ObjectiveRecipe(), name)
        value = getattr(objective, name)
        if value != default and task not in tasks:
            raise ValueError(
                f"objective.{name}={value!r} is for task {' or '.join(tasks)}, not for task={task!r}; leave it out."
            )
    if task not in _MASK_PROBABILITY:
        return
    if task == "masked_lm" and objective.unit != "span" and objective.mean_span_length is not None:
        raise ValueError(
            f"objective.mean_span_length={objective.mean_span_length} is for objective.unit='span', not for "
            f"{objective.unit!r}; leave it out."
        )
    # More than half hidden leaves a span corruption no room for the sentinels.
    highest = 0.5 if task == "span" else 1.0
    hidden = mask_probability(recipe)
    # Without infilling, denoising still has its permuted sentences to put in order.
    if hidden == 0 and task == "denoising" and objective.permute_sentences:
        return
    if not 0 < hidden <= highest:
        raise ValueError(
            f"objective.mask_probability must be in (0, {highest:g}] for task={task!r}, not "
            f"{objective.mask_probability}."
        )
    lowest, below = (1.0, (objective.max_span_length + 1) / 2) if task == "masked_lm" else (1.0, float("inf"))
    uses_spans = task != "masked_lm" or objective.unit == "span"
    if uses_spans and not lowest <= mean_span_length(recipe) < below:
        between = f"and below {below:g}, half of objective.max_span_length + 1, " if below < float("inf") else ""
        raise ValueError(f"objective.mean_span_length must be at least 1 {between}not {mean_span_length(recipe)}.")
    if objective.sentinels < 1:
        raise ValueError(f"objective.sentinels must be at least 1, not {objective.sentinels}; T5 has 100.")


_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "mask_probability": ("masked_lm", "denoising", "span"),
    "unit": ("masked_lm",),
    "replacement": ("masked_lm",),
    "mean_span_length": ("masked_lm", "denoising", "span"),
    "max_span_length": ("masked_lm",),
    "permute_sentences": ("denoising",),
    "sentinels": ("span",),
}


def extra_tokens(recipe: Recipe) -> tuple[str, ...]:
    """The special tokens that the recipe's task needs besides those of its stack."""
    if recipe.task == "denoising":
        return ("<mask>",)
    return tuple(sentinel_name(number) for number in range(recipe.objective.sentinels)) if recipe.task == "span" else ()


def describe_objective(recipe: Recipe) -> str:
    """What is predicted, in a line."""
    task, objective = recipe.task, recipe.objective
    if task == "causal_lm":
        return "the next token, from right to left" if recipe.data.reverse else "the next token"
    part = f"{mask_probability(recipe):.0%} of the tokens"
    spans = f"in spans of {mean_span_length(recipe):g} on average"
    if task == "denoising":
        order = ", sentences permuted" if objective.permute_sentences else ""
        return f"the text, {part} of it hidden {spans}{order}"
    if task == "span":
        return f"{part}, {spans}, behind sentinels"
    what = {"token": "", "whole_word": ", whole words", "span": f", {spans} (in words)"}[objective.unit]
    return f"{part}{what}; shown as " + (
        "the mask token" if objective.replacement == "all" else "80 % mask, 10 % random, 10 % themselves"
    )
