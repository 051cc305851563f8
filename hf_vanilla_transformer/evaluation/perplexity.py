"""Perplexity, from losses that are summed over tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import datasets
import evaluate

from .in_memory_metric import InMemoryMetric


class Perplexity(InMemoryMetric):
    """exp of the mean negative log-likelihood of a token.

    `compute` returns ``loss``, the mean in nats, and ``perplexity``, which is infinite where exp overflows. It raises
    `ValueError` if there are no tokens.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Perplexity of a token: exp of the mean negative log-likelihood in nats.",
            citation="Jelinek et al. 1977, Perplexity: a measure of the difficulty of speech recognition tasks",
            inputs_description="losses: negative log-likelihoods in nats, each summed over the tokens of a batch or a "
            "text. tokens: how many tokens each sum has.",
            features=datasets.Features({"losses": datasets.Value("float64"), "tokens": datasets.Value("int64")}),
        )

    def _compute(self, losses: Sequence[float], tokens: Sequence[int]) -> dict[str, float]:
        count = sum(tokens)
        if count <= 0:
            raise ValueError(f"Perplexity needs at least one token, but tokens={count}.")
        loss = math.fsum(losses) / count
        try:
            return {"loss": loss, "perplexity": math.exp(loss)}
        except OverflowError:
            return {"loss": loss, "perplexity": math.inf}
