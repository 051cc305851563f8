"""What a language model learns to predict: the section `objective` of a recipe, and its meaning for each task."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
from dataclasses import dataclass
from typing import Literal

from huggingface_hub.dataclasses import strict

from ...data.sentinels import sentinel_name
from .bounds import Number, bounded

# Tasks that read running text, by the name of their objective in `hf-vanilla pretrain`.
OBJECTIVES = {"causal": "causal_lm", "masked": "masked_lm", "denoising": "denoising", "span": "span"}
# Tasks of the encoder-decoder; the others have one stack.
ENCODER_DECODER = ("translation", "denoising", "span")

# Devlin et al. 2019, section 3.1; Lewis et al. 2020, section 5.1; Raffel et al. 2020, section 3.3.4.
_MASK_PROBABILITY = {"masked_lm": 0.15, "denoising": 0.3, "span": 0.15}
# Joshi et al. 2020, section 3.1; Lewis et al. 2020, section 2.2; Raffel et al. 2020, section 3.3.4.
_MEAN_SPAN_LENGTH = {"masked_lm": 3.8, "denoising": 3.0, "span": 3.0}


@strict
@dataclass
class ObjectiveRecipe:
    """What is masked in the text of a language model, for the tasks `masked_lm`, `denoising` and `span`."""

    mask_probability: Number | None = bounded(None, at_least=0, at_most=1)
    """Fraction of the tokens that are masked; null is the paper's: 0.15 for `masked_lm` (BERT) and `span` (T5), 0.3
    for `denoising` (BART)."""
    unit: Literal["token", "whole_word", "span"] = "token"
    """`masked_lm` only: the unit of masking: one `token`, all tokens of a `whole_word`, or a `span` of complete words
    (SpanBERT)."""
    replacement: Literal["bert", "all"] = "bert"
    """`masked_lm` only: `bert` replaces 80 % of the masked tokens by the mask token and 10 % by a random token, and
    keeps 10 %; `all` replaces all of them by the mask token."""
    mean_span_length: Number | None = bounded(None, at_least=1)
    """Mean length of a span, in words for `masked_lm` (3.8 if null) and in tokens for the others (3 if null)."""
    max_span_length: int = bounded(10, at_least=1, at_most=1_000_000)
    """`masked_lm` only: longest span, in words."""
    permute_sentences: bool = True
    """`denoising` only: put the sentences of a text in random order."""
    sentinels: int = bounded(100, at_least=1, at_most=100_000)
    """`span` only: sentinel tokens of the tokenizer, which limit the spans of one text."""


def mask_probability(task: str, objective: ObjectiveRecipe) -> float:
    """The fraction of the tokens that a task masks."""
    given = objective.mask_probability
    return _MASK_PROBABILITY[task] if given is None else given


def mean_span_length(task: str, objective: ObjectiveRecipe) -> float:
    """The mean length of the spans that a task masks."""
    given = objective.mean_span_length
    return _MEAN_SPAN_LENGTH[task] if given is None else given


def problems_of_objective(task: str, objective: ObjectiveRecipe) -> list[str]:
    """Fields of the objective that contradict each other or the task, each as a sentence with the remedy."""
    problems = []
    for name, tasks in _ONLY_FOR.items():
        value = getattr(objective, name)
        if value != getattr(ObjectiveRecipe(), name) and task not in tasks:
            problems.append(
                f"objective.{name}={value!r} is for task {' or '.join(tasks)}, not for task={task!r}; leave it out."
            )
    if task not in _MASK_PROBABILITY:
        return problems
    uses_spans = task != "masked_lm" or objective.unit == "span"
    if not uses_spans and objective.mean_span_length is not None:
        problems.append(
            f"objective.mean_span_length={objective.mean_span_length} is for objective.unit='span', not for "
            f"{objective.unit!r}; leave it out."
        )
    # Masking more than half of the tokens leaves no room for the sentinels of span corruption.
    highest = 0.5 if task == "span" else 1.0
    masked = mask_probability(task, objective)
    # Denoising without masked spans still restores the order of the sentences.
    if masked == 0 and task == "denoising" and objective.permute_sentences:
        return problems
    if not 0 < masked <= highest:
        problems.append(
            f"objective.mask_probability must be in (0, {highest:g}] for task={task!r}, not "
            f"{objective.mask_probability}."
        )
    below = (objective.max_span_length + 1) / 2 if task == "masked_lm" else float("inf")
    if uses_spans and mean_span_length(task, objective) >= below:
        problems.append(
            f"objective.mean_span_length must be below {below:g}, half of objective.max_span_length + 1, not "
            f"{mean_span_length(task, objective)}."
        )
    return problems


_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "mask_probability": ("masked_lm", "denoising", "span"),
    "unit": ("masked_lm",),
    "replacement": ("masked_lm",),
    "mean_span_length": ("masked_lm", "denoising", "span"),
    "max_span_length": ("masked_lm",),
    "permute_sentences": ("denoising",),
    "sentinels": ("span",),
}


def extra_tokens(task: str, objective: ObjectiveRecipe) -> tuple[str, ...]:
    """The special tokens that a task needs besides those of its stack."""
    if task == "denoising":
        return ("<mask>",)
    return tuple(sentinel_name(number) for number in range(objective.sentinels)) if task == "span" else ()


def describe_objective(task: str, objective: ObjectiveRecipe, *, reverse: bool = False) -> str:
    """The objective in one line.

    Args:
        reverse: a causal language model reads every text backwards.
    """
    if task == "causal_lm":
        return "the next token, from right to left" if reverse else "the next token"
    part = f"{mask_probability(task, objective):.0%} of the tokens"
    spans = f"in spans of {mean_span_length(task, objective):g} on average"
    if task == "denoising":
        order = ", sentences permuted" if objective.permute_sentences else ""
        return f"the text, {part} of it masked {spans}{order}"
    if task == "span":
        return f"{part}, {spans}, behind sentinels"
    what = {"token": "", "whole_word": ", whole words", "span": f", {spans} (in words)"}[objective.unit]
    return f"{part}{what}; shown as " + (
        "the mask token" if objective.replacement == "all" else "80 % mask, 10 % random, 10 % themselves"
    )
