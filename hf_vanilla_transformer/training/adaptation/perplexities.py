"""Perplexities on domain and general text before, during and after an adaptation."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...evaluation import load_metric
from ...evaluation_mode import evaluation_mode
from ..batches import Rows, SeededCollator
from ..collators import collator
from ..corpus import encode
from ..recipes.training_recipe import Recipe
from ..split_scores import total_loss

DOMAIN, GENERAL = "domain", "general"


@dataclass
class MeasuredText:
    """A text as rows of token ids, with its size in units that do not depend on the tokenizer.

    Attributes:
        rows: token ids.
        tokens: number of tokens that the model may have to predict.
        words: number of words, separated by white space.
        characters: number of characters, without white space at both ends of a text.
    """

    rows: Rows
    tokens: int
    words: int
    characters: int


class Perplexities:
    """Measures models on the same texts: domain text, and general text if there is any.

    Perplexities per token of two tokenizers are not comparable: longer tokens are fewer and harder to predict. Word
    perplexities, exp(mean token loss × tokens / words), are. A masked language model gives no likelihood of the text:
    here the mean loss of its masked tokens is taken for all tokens. When the tokenizer is extended, whole words are
    masked, because the unmasked pieces of a word would reveal the masked ones.

    Args:
        recipe: of the adaptation; decides the objective.
        texts: data sets with a column `text`, by the names `"domain"` and `"general"`.
    """

    def __init__(self, recipe: Recipe, texts: dict[str, Any]) -> None:
        self.texts = texts
        self.recipe = recipe
        self.unit = "word_perplexity" if recipe.adaptation.new_words else "perplexity"
        self.whole_words = (
            recipe.task == "masked_lm" and recipe.adaptation.new_words > 0 and recipe.objective.unit == "token"
        )
        if self.whole_words:
            objective = dataclasses.replace(recipe.objective, unit="whole_word")
            self.recipe = dataclasses.replace(recipe, objective=objective)
        self._encoded: list[tuple[PreTrainedTokenizerBase, dict[str, MeasuredText]]] = []

    def encoded(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, MeasuredText]:
        """The texts as ids of a tokenizer; cached for each tokenizer."""
        for known, texts in self._encoded:
            if known is tokenizer:
                return texts
        texts = {name: measured_text(self.recipe, tokenizer, rows) for name, rows in self.texts.items()}
        self._encoded.append((tokenizer, texts))
        return texts

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, names: tuple[str, ...] = (DOMAIN, GENERAL)
    ) -> dict[str, dict[str, float]]:
        """Scores of each text (see `scores_of`), by name. The model is in evaluation mode during the call."""
        collate = SeededCollator(collator(self.recipe, tokenizer), self.recipe.training.seed)
        scores = {}
        with evaluation_mode(model):
            for name, text in self.encoded(tokenizer).items():
                if name in names:
                    loss, tokens = total_loss(model, self.recipe, text.rows, collate)
                    scores[name] = scores_of(loss / max(tokens, 1), text)
        return scores


def measured_text(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, rows: Any) -> MeasuredText:
    """Tokenises texts and counts them."""
    texts = [text.strip() for text in rows["text"]]
    encoded = encode(recipe, tokenizer, rows, training=False)
    ids = encoded.columns["input_ids"].ids
    if recipe.task == "causal_lm":
        tokens = len(ids)  # the end tokens between texts are predicted, too
    else:
        tokens = int((~np.isin(ids, tokenizer.all_special_ids)).sum())
    return MeasuredText(encoded, tokens, sum(len(text.split()) for text in texts), sum(map(len, texts)))


def scores_of(loss: float, text: MeasuredText) -> dict[str, float]:
    """Loss and perplexity per token, perplexity per word and bits per character, from the mean loss per token."""
    total_loss = loss * text.tokens
    metric = load_metric("perplexity")
    return {
        **metric.compute(losses=[loss], tokens=[1]),
        "word_perplexity": metric.compute(losses=[total_loss], tokens=[max(text.words, 1)])["perplexity"],
        "bits_per_character": total_loss / max(text.characters, 1) / math.log(2),
    }


def perplexity_history(
    base_model: dict[str, dict[str, float]],
    start: dict[str, dict[str, float]] | None,
    records: list[dict[str, Any]],
    after: dict[str, dict[str, float]],
    steps: int,
    texts: dict[str, MeasuredText],
) -> list[dict[str, Any]]:
    """All measurements in order: base model, extended model before training, evaluations, trained model.

    Args:
        base_model, start, after: results of `Perplexities.measure`; `start` is None if the base model was not changed.
        records: of metrics.jsonl; evaluations have `eval_domain_loss` or `eval_loss`, and `eval_general_loss`.
        steps: updates of the run.
        texts: encoded by the extended tokenizer.
    """
    history = [{"when": "base model", "step": 0, **base_model}]
    if start is not None:
        history.append({"when": "start", "step": 0, **start})
    for record in records:
        losses = {
            DOMAIN: record.get("eval_domain_loss", record.get("eval_loss")),
            GENERAL: record.get("eval_general_loss"),
        }
        scores = {name: scores_of(loss, texts[name]) for name, loss in losses.items() if loss is not None}
        if scores:
            history.append({"when": "training", "step": record["step"], **scores})
    history.append({"when": "after", "step": steps, **after})
    return history


def gains(history: list[dict[str, Any]], unit: str) -> dict[str, float]:
    """Relative decrease of the perplexity on each text, 1 - after / base model; negative if it increased."""
    base_model, after = history[0], history[-1]
    return {
        name: 1.0 - after[name][unit] / base_model[name][unit]
        for name in (DOMAIN, GENERAL)
        if name in base_model and name in after and math.isfinite(base_model[name][unit])
    }


def table(history: list[dict[str, Any]], unit: str) -> str:
    """The history as a Markdown table: one row per measurement."""
    names = [name for name in (DOMAIN, GENERAL) if name in history[0]]
    lines = [["", "update", *(f"{name} {unit.replace('_', ' ')}" for name in names)]]
    lines.append(["---"] * len(lines[0]))
    for point in history:
        cells = [f"{point[name][unit]:,.4g}" if name in point else "" for name in names]
        lines.append([point["when"], f"{point['step']:,}", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
